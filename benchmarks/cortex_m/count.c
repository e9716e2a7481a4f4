/* Counts the instructions that a decoder called rest takes, a frame at a time, with the timer of the
   processor: under "-icount shift=0" an instruction takes a nanosecond, and the timer has 25 MHz. */
#include "rest.h"

#include <stdint.h>
#include <stdio.h>

#define CONTROL (*(volatile uint32_t *)0xE000E010)
#define RELOAD (*(volatile uint32_t *)0xE000E014)
#define NOW (*(volatile uint32_t *)0xE000E018)

static rest_state state;
static rest_scratch scratch;
static rest_output output[REST_ANSWERS(1)];
static float frame[REST_CHANNELS];

int main(int count, char **words)
{
    FILE *file = fopen(words[count - 1], "rb");
    double all = 0, most = 0;
    unsigned answers = 0;
    rest_start(&state);
    RELOAD = 0xFFFFFF;
    CONTROL = 5;
    while (fread(frame, sizeof frame, 1, file) == 1) {
        const uint32_t before = NOW;
        answers += (unsigned)rest_step(&state, &scratch, frame, 1, output);
        const double took = 40.0 * (double)((before - NOW) & 0xFFFFFF);
        all += took;
        most = took > most ? took : most;
    }
    printf("%.0f %.0f %u\n", all / answers, most, answers);
    return 0;
}
