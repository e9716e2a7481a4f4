/* Begins a program on the boards mps2-an386 (Cortex-M4F) and mps2-an500 (Cortex-M7) of QEMU: the vectors,
   the floating-point unit, then the C library, whose files are those of the host. */
#include <stdint.h>

extern uint32_t __stack;
extern void _start(void);

void reset(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm volatile("dsb\n isb");
    _start();
}

static void stuck(void)
{
    for (;;)
        ;
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*begin[15])(void);
} vectors = {&__stack, {reset, stuck, stuck, stuck, stuck, stuck}};
