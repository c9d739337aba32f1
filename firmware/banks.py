"""Room for two shots: runs of counts come in, slot words are made of them; no hardware here.

A shot of up to BANK_SLOTS played slots takes one bank, so that the next can be taken in while one plays; a longer one
takes both.
"""

from array import array

import buffers
import quick
import sequencer
from buffers import BANK_SEEN, BANK_SLOTS, BANK_WORDS, BANKS
from protocol import ProtocolError, to_base64

WRONG = {
    quick.MORE: "more slots or pulses than were announced",
    quick.TIGHT: "the pulses of a slot do not fit its window",
}

FREE, LOADING, READY, QUEUED, PLAYING, DONE = "free", "loading", "ready", "queued", "playing", "done"


class Bank:
    """One shot: its slot words, what was counted, and how far it is."""

    def __init__(self, words_at: int, seen_at: int):
        self.words_at = words_at  # where its slot words begin
        self.seen_at = seen_at  # where the counter's words go
        self.state = FREE
        self.shot = 0
        self.both = False  # takes the other bank's room too
        self.fetched = True  # its counts have been read
        self.registers = array("I")  # of quick.expand
        self.take(0, False, None)

    def take(self, played: int, stamped: bool, timing) -> None:
        """Make ready for a new shot."""
        self.played = played
        self.stamped = stamped
        self.timing = timing
        self.piece = 0
        self.end = self.words_at
        self.ticks = 0
        self.fault = ""
        self.after = 0
        self.stamps = 0
        self.elapsed_ms = 0
        self.fetched = False


class Banks:
    """Both banks and the memory behind them; slot i closes address i mod `addresses`."""

    def __init__(self):
        self.words = buffers.words
        self.seen = buffers.seen
        self.runs = buffers.runs
        self.packed = memoryview(buffers.runs)
        self.banks = [Bank(i * BANK_WORDS, i * BANK_SEEN) for i in range(BANKS)]
        self.addresses = 0
        self.binary = False
        self.timing = None
        self.shot = 0

    def free(self, keep_done: bool = True) -> None:
        """Forget everything but, where wanted, what has been played and not been fetched."""
        for bank in self.banks:
            if bank.state != DONE or not keep_done:
                bank.state = FREE
                bank.both = False

    def find(self, shot: int) -> Bank:
        """The bank that holds a shot; raises ProtocolError."""
        for bank in self.banks:
            if bank.shot == shot and bank.state != FREE:
                return bank
        raise ProtocolError("state", "no shot %d here" % shot)

    def room(self, slots: int) -> Bank:
        """A bank for a shot of so many played slots, free or long done; raises ProtocolError."""
        if not 1 <= slots <= BANK_SLOTS * BANKS:
            raise ProtocolError("range", "played=%d: 1 to %d" % (slots, BANK_SLOTS * BANKS))
        both = slots > BANK_SLOTS
        spare = [b for b in self.banks if b.state in (FREE, LOADING) or (b.state == DONE and b.fetched)]
        kept = [b for b in self.banks if b not in spare]
        if len(spare) < (BANKS if both else 1) or any(b.both for b in kept):
            raise ProtocolError("full", "play what is loaded and read its counts first")
        bank = spare[0]
        for other in spare:
            if other.state == FREE or (not both and bank.state != FREE and other.shot < bank.shot):
                bank = other
        if both:
            bank = self.banks[0]
        for other in spare:
            if both or other is bank or other.both:
                other.state = FREE
                other.both = False
        bank.both = both
        self.shot = self.shot % 65535 + 1
        bank.shot = self.shot
        return bank

    def load(self, first_slot: int, slots: int, played: int, pulses: int, stamped: bool) -> Bank:
        """Begin to take a shot in; raises ProtocolError."""
        if self.timing is None:
            raise ProtocolError("state", "no slot timing: timing first")
        bank = self.room(played)
        bank.take(played, stamped, self.timing)
        end = sequencer.open_words(self.words, bank.words_at, self.timing)
        one_hot, binary = int(self.addresses > 0 and not self.binary), int(self.addresses > 0 and self.binary)
        places = (self.addresses or 1, one_hot, binary, first_slot, end, slots, played, pulses)
        bank.registers = array("I", sequencer.slot_registers(self.timing) + places)
        bank.state = LOADING
        return bank

    def data(self, shot: int, piece: int, runs: bytes) -> Bank:
        """Take one piece of packed runs. Raises ProtocolError, and then the shot has to be loaded anew, unless the
        piece was simply not the next one.
        """
        bank = self.find(shot)
        if piece < bank.piece:  # sent again because our reply was lost
            return bank
        if bank.state != LOADING or piece != bank.piece:
            raise ProtocolError("state", "shot %d is %s at piece %d" % (shot, bank.state, bank.piece))
        bank.piece += 1
        try:
            self._expand(bank, runs)
            if bank.registers[quick.SLOTS] == 0:
                self._close(bank)
        except ProtocolError:
            bank.state = FREE
            raise
        return bank

    def _expand(self, bank: Bank, runs: bytes) -> None:
        r, timing = bank.registers, bank.timing
        played, pulses = r[quick.PLAYED], r[quick.PULSES]
        count = quick.unpack(runs, self.runs)
        if count < 0 or count % 2:
            raise ProtocolError("syntax", "the last run does not end")
        result = quick.expand(self.runs, count, self.words, r)
        if result != quick.FINE:
            raise ProtocolError("range", WRONG[result])
        played, pulses = played - r[quick.PLAYED], pulses - r[quick.PULSES]
        body = played * timing.period if timing.fixed else pulses * timing.period
        bank.ticks += played * (timing.lead + timing.settle) + body

    def _close(self, bank: Bank) -> None:
        if bank.registers[quick.PLAYED] or bank.registers[quick.PULSES]:
            raise ProtocolError("range", "fewer slots or pulses than were announced")
        bank.end = sequencer.close_words(self.words, bank.registers[quick.END], bank.timing)
        bank.ticks += bank.timing.lead
        bank.state = READY

    def strays(self, bank: Bank) -> int:
        """Spikes while sync was high, in every other word from the second on."""
        return quick.add_up(self.seen, bank.seen_at + 1, bank.played + 1)

    def counts(self, bank: Bank, begin: int, slots: int) -> bytes:
        """The counts of so many played slots as packed runs in base64."""
        size = quick.pack_counts(self.seen, bank.seen_at + 2 + 2 * begin, slots, self.runs)
        return to_base64(self.packed[:size])
