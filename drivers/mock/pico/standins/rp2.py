"""Stand-in for MicroPython's `rp2` (>= 1.24.1): programs are assembled here, the simulated chip runs them."""

import time
from array import array

from link import chip
from pio_assembler import Mnemonics, Program, assemble


class PIO:
    """A block of four state machines and 32 words."""

    OUT_LOW = 2
    SHIFT_LEFT, SHIFT_RIGHT = 0, 1
    JOIN_NONE, JOIN_TX, JOIN_RX = 0, 1, 2

    def __init__(self, block: int) -> None:
        self.block = block

    def remove_program(self, program: Program) -> None:
        """Raises ValueError where it is not loaded."""
        chip.ask("remove", block=self.block, words=list(program.words))


ASSEMBLE_MS = 0.7  # an instruction, on a Pico at 125 MHz


def asm_pio(*, out_init=None, sideset_init=None, in_shiftdir=0, out_shiftdir=0, fifo_join=0):
    """The decorator."""

    def decorate(body):
        program = Program(out_init, sideset_init, in_shiftdir == PIO.SHIFT_LEFT, out_shiftdir, fifo_join)
        assemble(body, program)
        if hasattr(time, "sleep_ms"):  # not where a test only wants the words
            time.sleep_ms(int(len(program.words) * ASSEMBLE_MS))
        return program

    return decorate


def asm_pio_encode(instruction: str, sideset_count: int) -> int:
    """One instruction that is no jump."""
    program = Program(None, (PIO.OUT_LOW,) * sideset_count, True, False, PIO.JOIN_NONE)
    exec(instruction, Mnemonics(program).names())  # noqa: S102 (as MicroPython does)
    return program.words[0]


class StateMachine:
    """Number 0-7; four to a block."""

    def __init__(self, number: int) -> None:
        self.number = number

    def init(self, program, freq=-1, *, out_base=None, sideset_base=None, in_base=None, jmp_pin=None) -> None:
        """Load the program if it is not there, clear the FIFOs, go to its beginning, pins low; the machine is off."""
        pins = {"out_base": out_base, "sideset_base": sideset_base, "in_base": in_base, "jmp_pin": jmp_pin}
        chip.ask(
            "init",
            machine=self.number,
            name=program.name,
            words=list(program.words),
            hz=freq,
            outs=program.out_count,
            pins={name: pin.number for name, pin in pins.items() if pin is not None},
        )

    def active(self, on: int) -> None:
        """Switch on or off."""
        chip.ask("active", machine=self.number, on=bool(on))

    def put(self, word: int) -> None:
        """Into the TX FIFO, which has to have room."""
        chip.ask("put", machine=self.number, word=word)

    def get(self) -> int:
        """From the RX FIFO, which has to have a word."""
        return chip.ask("get", machine=self.number)

    def exec(self, instruction: int) -> None:
        """One instruction by itself."""
        chip.ask("exec", machine=self.number, instruction=instruction)

    def tx_fifo(self) -> int:
        """Words that wait."""
        return chip.ask("tx_fifo", machine=self.number)

    def rx_fifo(self) -> int:
        """Words that wait."""
        return chip.ask("rx_fifo", machine=self.number)


class DMA:
    """One of twelve channels."""

    free = 0

    def __init__(self) -> None:
        if DMA.free == DMA.CHANNELS:
            raise OSError(16)
        self.channel = DMA.free
        DMA.free += 1
        self.into = None
        self._control = None

    CHANNELS = 12

    def pack_ctrl(self, *, size, treq_sel, inc_read=True, inc_write=True, irq_quiet=True, chain_to=None):
        """The control word; here, what it says."""
        if size != 2 or inc_read == inc_write:
            raise ValueError("the twin's DMA moves words between memory and one FIFO")
        return treq_sel, irq_quiet, self.channel if chain_to is None else chain_to

    def irq(self, *, handler, hard: bool) -> None:
        """Have the end of a transfer that is not quiet call the handler."""
        if not hard:
            raise ValueError("the twin knows hard interrupts only")

        def ended() -> None:
            self._state()  # the words are in memory by then
            handler(self)

        chip.handlers[("dma", self.channel)] = ended

    def config(self, *, read, write, count, ctrl, trigger) -> None:
        """Set up, and start if wanted."""
        request, quiet, chain_to = ctrl
        if chain_to != self.channel:
            raise ValueError("the twin chains a channel that is busy")
        self._control = ctrl
        if isinstance(write, StateMachine):
            if len(read) != count:
                raise ValueError("count is not the length of the buffer")
            chip.ask("dma_play", read, channel=self.channel, machine=write.number, request=request, trigger=trigger)
            return
        if len(write) < count:
            raise ValueError("the buffer is too short")
        self.into = write
        chip.ask(
            "dma_take",
            channel=self.channel,
            machine=read.number,
            request=request,
            count=count,
            quiet=quiet,
            trigger=trigger,
        )

    def active(self, on: "int | None" = None) -> bool:
        """Whether it is busy; 1 starts what was set up, 0 aborts."""
        if on is not None:
            chip.ask("dma_start" if on else "dma_abort", channel=self.channel)
            return bool(on)
        return self._state()["busy"]

    @property
    def read(self) -> int:
        """Where it reads next, in bytes from where it began."""
        return chip.ask("dma_read", channel=self.channel)

    @property
    def ctrl(self):
        """The control word; set, it holds for a transfer that is under way, too."""
        return self._control

    @ctrl.setter
    def ctrl(self, control) -> None:
        if control[:2] != self._control[:2]:
            raise ValueError("of a control word the twin changes CHAIN_TO only")
        self._control = control
        chip.ask("dma_chain", channel=self.channel, to=control[2])

    @property
    def count(self) -> int:
        """Transfers still to come."""
        return self._state()["left"]

    def _state(self):
        into = self.into
        while True:
            # Whoever interrupts before this returns fetches words that come after these: each piece says where it goes.
            state = chip.ask("dma", channel=self.channel)
            new = array("I", state["fifo"])
            if len(new):
                into[state["at"] : state["at"] + len(new)] = new
            if not state["more"]:
                return state
