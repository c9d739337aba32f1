"""An assembler for the PIO programs that MicroPython's @rp2.asm_pio takes, for the stand-in of rp2.

Encodings: RP2040 datasheet, section 3.4. Every instruction is also written as a line of pioasm, so that an independent
assembler can be asked for its opinion.
"""

from array import array

PLACES = {"pins": 0, "x": 1, "y": 2, "null": 3, "pindirs": 4, "pc": 5, "isr": 6, "osr": 7}
CONDITIONS = {"not_x": 1, "x_dec": 2, "not_y": 3, "y_dec": 4, "x_not_y": 5, "pin": 6, "not_osre": 7}
CONDITION_TEXT = ("", "!x", "x--", "!y", "y--", "x!=y", "pin", "!osre")
PLACE_TEXT = ("pins", "x", "y", "null", "pindirs", "pc", "isr", "osr")
INVERT = 8  # the operation bits of mov
NOBLOCK, BLOCK = 1, 2


class AssemblerError(Exception):
    """A PIO program that cannot be."""


class Program:
    """An assembled program: words, wrap, side-set and shift settings, initial pin levels, and its pioasm text."""

    def __init__(self, out_init, sideset_init, in_left: bool, out_right: bool, fifo_join: int) -> None:
        self.name = ""
        self.words = array("H")
        self.text: list[str] = []
        self.labels: dict[str, int] = {}
        self.jumps: list[tuple[int, str]] = []
        self.sides = 0
        self.wrap_target = 0
        self.wrap = -1
        self.out_count = len(out_init or ())
        self.side_count = len(sideset_init or ())
        self.in_left = in_left
        self.out_right = out_right
        self.fifo_join = fifo_join
        if any(level != 2 for level in list(out_init or ()) + list(sideset_init or ())):
            raise AssemblerError("the twin knows OUT_LOW only: every line is low at rest")

    def add(self, word: int, text: str) -> "Program":
        """One instruction."""
        if len(self.words) == 32:
            raise AssemblerError("more than 32 instructions")
        self.words.append(word)
        self.text.append(text)
        return self

    def side(self, value: int) -> "Program":
        """Side-set of the last instruction."""
        if not 0 <= value < 1 << self.side_count:
            raise AssemblerError("side-set out of range")
        self.sides += 1
        self.words[-1] |= value << (13 - self.side_count)
        self.text[-1] += " side %d" % value
        return self

    def delay(self, cycles: int) -> "Program":
        """Delay of the last instruction."""
        if not 0 <= cycles < 1 << (5 - self.side_count):
            raise AssemblerError("delay out of range")
        self.words[-1] |= cycles << 8
        self.text[-1] += " [%d]" % cycles
        return self

    def __getitem__(self, cycles: int) -> "Program":
        return self.delay(cycles)

    def finish(self) -> None:
        """Resolve the labels; raises AssemblerError."""
        for at, label in self.jumps:
            if label not in self.labels:
                raise AssemblerError("no label " + label)
            self.words[at] |= self.labels[label]
        if self.wrap < 0:
            self.wrap = len(self.words) - 1
        if self.side_count and self.sides != len(self.words):
            raise AssemblerError("the twin knows programs that side-set in every instruction or in none")

    def listing(self) -> str:
        """The program for pioasm."""
        lines = [".program " + self.name]
        if self.side_count:
            lines.append(".side_set %d" % self.side_count)
        for at, text in enumerate(self.text):
            if at == self.wrap_target:
                lines.append(".wrap_target")
            lines += [label + ":" for label, where in self.labels.items() if where == at]
            lines.append("    " + text)
            if at == self.wrap:
                lines.append(".wrap")
        return "\n".join(lines)


def assemble(body, program: Program) -> Program:
    """Run `body` with the names of PIO's instructions as its only globals, as @asm_pio does."""
    names = Mnemonics(program).names()
    gl = body.__globals__
    kept = gl.copy()
    gl.clear()
    gl.update(names)
    try:
        body()
    finally:
        gl.clear()
        gl.update(kept)
    program.name = body.__name__
    program.finish()
    return program


class Mnemonics:
    """PIO's instructions and directives as functions that add to a program."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def names(self) -> "dict[str, object]":
        """Every name that a program's body may use."""
        names: dict[str, object] = {"invert": lambda place: place | INVERT, "block": BLOCK, "noblock": NOBLOCK}
        names.update(PLACES)
        names.update(CONDITIONS)
        for name in ("label", "wrap_target", "wrap", "jmp", "in_", "out", "push", "pull", "mov", "set", "nop"):
            names[name] = getattr(self, name)
        return names

    def label(self, name: str) -> None:
        """Here."""
        if name in self.program.labels:
            raise AssemblerError("label twice: " + name)
        self.program.labels[name] = len(self.program.words)

    def wrap_target(self) -> None:
        """Where it goes on after the last."""
        self.program.wrap_target = len(self.program.words)

    def wrap(self) -> None:
        """That was the last."""
        self.program.wrap = len(self.program.words) - 1

    def jmp(self, condition, target=None) -> Program:
        """With or without a condition."""
        if target is None:
            condition, target = 0, condition
        self.program.jumps.append((len(self.program.words), target))
        text = " ".join(["jmp", CONDITION_TEXT[condition], target]) if condition else "jmp " + target
        return self.program.add(condition << 5, text)

    def _bits(self, what: str, opcode: int, where: int, count: int) -> Program:
        if not 1 <= count <= 32:
            raise AssemblerError("bit count out of range")
        return self.program.add(opcode | where << 5 | count & 31, "%s %s, %d" % (what, PLACE_TEXT[where], count))

    def in_(self, source: int, count: int) -> Program:
        """Shift into ISR."""
        return self._bits("in", 0x4000, source, count)

    def out(self, destination: int, count: int) -> Program:
        """Shift out of OSR."""
        return self._bits("out", 0x6000, destination, count)

    def push(self, how: int = BLOCK) -> Program:
        """ISR to the FIFO."""
        word = 0x8000 if how == NOBLOCK else 0x8020
        return self.program.add(word, "push noblock" if how == NOBLOCK else "push block")

    def pull(self, how: int = BLOCK) -> Program:
        """FIFO to OSR."""
        word = 0x8080 if how == NOBLOCK else 0x80A0
        return self.program.add(word, "pull noblock" if how == NOBLOCK else "pull block")

    def mov(self, destination: int, source: int) -> Program:
        """Copy, inverted if the source says so."""
        inverted = "~" if source & INVERT else ""
        text = "mov %s, %s%s" % (PLACE_TEXT[destination], inverted, PLACE_TEXT[source & 7])
        return self.program.add(0xA000 | destination << 5 | source, text)

    def set(self, destination: int, value: int) -> Program:
        """A number of five bits."""
        if not 0 <= value <= 31:
            raise AssemblerError("set out of range")
        return self.program.add(0xE000 | destination << 5 | value, "set %s, %d" % (PLACE_TEXT[destination], value))

    def nop(self) -> Program:
        """Pass a cycle."""
        return self.program.add(0xA042, "nop")
