"""Room for two shots: runs of counts come in, slot words are made of them; no hardware here.

A shot of up to BANK_SLOTS played slots takes one bank, so that the next can be taken in while one plays; a longer one
takes both.
"""

from array import array

import sequencer
from protocol import ProtocolError

BANK_SLOTS = 2048
BANKS = 2
PIECE = 64  # slots expanded between two looks at e-stop and host

FREE, LOADING, READY, QUEUED, PLAYING, DONE = "free", "loading", "ready", "queued", "playing", "done"
BUSY = (READY, QUEUED, PLAYING)


class Bank:
    """One shot: its slot words, what was counted, and how far it is."""

    def __init__(self, words_at: int, seen_at: int):
        self.words_at = words_at  # where its slot words begin
        self.seen_at = seen_at  # where the counter's words go
        self.state = FREE
        self.shot = 0
        self.both = False  # takes the other bank's room too
        self.fetched = True  # its counts have been read
        self.take(0, 0, 0, 0, False, None)

    def take(self, first_slot: int, slots: int, played: int, pulses: int, stamped: bool, timing) -> None:
        """Make ready for a new shot."""
        self.slot = first_slot
        self.slots_left = slots
        self.played = self.played_left = played
        self.pulses_left = pulses
        self.stamped = stamped
        self.timing = timing
        self.piece = 0
        self.end = self.words_at
        self.ticks = 0
        self.fault = ""
        self.guard = -1  # strays in the leads, not summed yet
        self.after = 0
        self.stamps = 0
        self.elapsed_ms = 0
        self.fetched = False


class Banks:
    """Both banks and the memory behind them; `select` turns a slot's index into its select code."""

    def __init__(self):
        a_bank = BANK_SLOTS * sequencer.WORDS_A_SLOT + sequencer.WORDS_A_SHOT
        seen = 2 * BANK_SLOTS + 2
        self.words = array("I", bytes(4 * BANKS * a_bank))
        self.seen = array("I", bytes(4 * BANKS * seen))
        self.banks = [Bank(i * a_bank, i * seen) for i in range(BANKS)]
        self.addresses = 0
        self.binary = False
        self.timing = None
        self.shot = 0
        self.since = 0  # slots expanded since `between` was called

    def free(self) -> None:
        """Forget everything but what has been played and not been fetched."""
        for bank in self.banks:
            if bank.state != DONE:
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
        bank.take(first_slot, slots, played, pulses, stamped, self.timing)
        bank.end = sequencer.open_words(self.words, bank.words_at, self.timing)
        bank.state = LOADING
        return bank

    def data(self, shot: int, piece: int, runs: "list[tuple[int, int]]", between) -> Bank:
        """Take one piece: runs of (count, repeat). Calls `between` every PIECE slots. Raises ProtocolError, and then
        the shot has to be loaded anew, unless the piece was simply not the next one.
        """
        bank = self.find(shot)
        if bank.state in (LOADING, READY) and piece + 1 == bank.piece:  # sent again because our reply was lost
            return bank
        if bank.state != LOADING or piece != bank.piece:
            raise ProtocolError("state", "shot %d is %s at piece %d" % (shot, bank.state, bank.piece))
        bank.piece += 1
        try:
            for pulses, repeat in runs:
                self._run(bank, pulses, repeat, between)
            if bank.slots_left == 0 and bank.state == LOADING:  # it may have been stopped meanwhile
                self._close(bank)
        except ProtocolError:
            bank.state = FREE
            raise
        return bank

    def _run(self, bank: Bank, pulses: int, repeat: int, between) -> None:
        timing = bank.timing
        is_played = repeat if pulses or timing.fixed else 0
        if repeat > bank.slots_left or is_played > bank.played_left or pulses * repeat > bank.pulses_left:
            raise ProtocolError("range", "more slots or pulses than were announced")
        if pulses and timing.slot(pulses)[0] < sequencer.LEAST_LOW:
            raise ProtocolError("range", "%d pulses do not fit the window" % pulses)
        for begin in range(0, is_played, PIECE):
            codes = [self.code(bank.slot + i) for i in range(begin, min(begin + PIECE, repeat))]
            bank.end = sequencer.slot_words(self.words, bank.end, timing, pulses, codes)
            self.since += len(codes)
            if self.since >= PIECE:
                self.since = 0
                between()
        body = timing.period if timing.fixed else timing.period * pulses
        bank.ticks += is_played * (timing.lead + body + timing.settle)
        bank.slot += repeat
        bank.slots_left -= repeat
        bank.played_left -= is_played
        bank.pulses_left -= pulses * repeat

    def _close(self, bank: Bank) -> None:
        if bank.played_left or bank.pulses_left:
            raise ProtocolError("range", "fewer slots or pulses than were announced")
        bank.end = sequencer.close_words(self.words, bank.end, bank.timing)
        bank.ticks += bank.timing.lead
        bank.state = READY

    def code(self, slot: int) -> int:
        """The select code of a slot: one-hot, or binary counted from 1; 0 closes nothing."""
        if self.addresses == 0:
            return 0
        address = slot % self.addresses
        return address + 1 if self.binary else 1 << address

    def sum_guard(self, bank: Bank) -> int:
        """Spikes while sync was high: strays, in every other word from the second on."""
        if bank.guard < 0:
            seen, at = self.seen, bank.seen_at + 1
            total = 0
            for i in range(at, at + 2 * bank.played + 1, 2):
                total += seen[i]
            bank.guard = total
        return bank.guard
