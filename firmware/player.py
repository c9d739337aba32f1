"""Shots played by DMA and PIO with no CPU in the loop, and what was counted meanwhile.

A queued shot is made ready while the one before it plays: its words are expanded, a second pair of DMA channels is set
up, and each of the first pair is told to have one of them follow (CHAIN_TO, RP2040 datasheet 2.5.2.2). So it follows to
the tick whatever the processor does, a settling time after the closing sync pulse. Nothing stops between them to be
looked at: that no edge of sync was lost or made up is seen by comparing how many edges have been counted of the second
shot with how many its words make, and before that has been seen no count of the first is told as the last. Interrupts
take no memory: nothing they call makes an object.
"""

import time

import machine
import rp2
import sequencer
from banks import DONE, PLAYING, QUEUED, READY, Bank, Banks
from buffers import STAMPS
from listener import Listener
from protocol import ProtocolError

LATE_MS = 500  # how long after its time a shot may end before it counts as stalled
LEAST_LEFT = 40  # words of a shot that are still to be fed, eight slots, when another is chained to it
TICKS_A_MS = sequencer.TICK_HZ // 1000
LATE_END_MS = 100  # how late the end of a shot may be told, so that its length is still believed
LOOKS = 10  # for a moment without an edge


class Player:
    """The sequencer, the listener and the banks."""

    def __init__(self, settings):
        if machine.freq() % sequencer.TICK_HZ:
            machine.freq(125_000_000)
        self.following = None  # the queued bank that DMA goes on with
        self.follows_at = 0  # where that reads first
        self.ended_ms = -1  # when the interrupt said that the shot in hand was counted
        self.rest_ticks = 0  # of the shots before in this row, less than a millisecond
        self.halted = False  # an interrupt has stopped everything; until the latch is cleared
        self.banks = Banks()
        self.feeds = [rp2.DMA(), rp2.DMA()]
        self.machine = rp2.StateMachine(0)
        self.listener = Listener(machine.freq(), self._counted)
        self.program = None
        self.loaded = False  # the program is in PIO 0
        self.settings = settings
        self.pins = []
        self.lines = ()  # the pins as objects
        self.playing = None  # the bank that plays, or listens
        self.done = 0  # the last shot that ended
        self.began_ms = 0
        self.wire(settings)

    def wire(self, settings) -> None:
        """Take the pins of new settings, at rest."""
        self.rest()
        for pin in self.pins:
            machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_DOWN)
        if self.loaded:
            rp2.PIO(0).remove_program(self.program)
            self.loaded = False
        base = settings["base"]
        self.settings = settings
        self.pins = [] if base is None else list(range(base, base + settings["lines"]))
        self.lines = tuple([machine.Pin(pin) for pin in self.pins])
        self.lines_low()
        for name in ("axon", "sync"):
            if settings[name] is not None:
                machine.Pin(settings[name], machine.Pin.IN, machine.Pin.PULL_DOWN)
        self.listener.release(0)
        self.program = sequencer.program(len(self.pins) - 3) if self.pins else None
        self.banks.addresses = settings["addresses"]
        self.banks.binary = settings["select"] == "binary"

    def lines_low(self) -> None:
        """All lines driven low by the processor, whatever PIO wants. May be called by an interrupt."""
        for pin in self.lines:
            pin.init(machine.Pin.OUT, value=0)

    def halt(self) -> None:
        """Stop the sequencer and have all lines low, at once. May be called by an interrupt, at any moment."""
        self.halted = True
        self.machine.active(0)
        self.lines_low()

    def rest(self) -> None:
        """Stop at once: nothing plays or is queued, all lines are low. Idempotent."""
        self.following = None
        self.machine.active(0)
        self.lines_low()
        for feed in self.feeds:
            feed.active(0)
        self.listener.stop()
        self.playing = None
        self.banks.free()

    def play(self, shot: int) -> "tuple[Bank, bool]":
        """Play now (True) or as soon as the shot in hand has ended; raises ProtocolError."""
        self.advance()
        bank = self.banks.find(shot)
        if bank.state in (QUEUED, PLAYING, DONE):  # asked again because our reply was lost
            return bank, bank.state != QUEUED
        if bank.state != READY:
            raise ProtocolError("state", "shot %d is %s" % (shot, bank.state))
        if self.playing is not None:
            if bank.stamped or self.playing.stamped:
                raise ProtocolError("state", "a shot with time stamps plays alone")
            bank.state = QUEUED
            self._prepare(bank)
            return bank, False
        self._begin(bank)
        return bank, True

    def _begin(self, bank: Bank) -> None:
        base = self.settings["base"]
        axon = self.settings["axon"]
        self.listener.stop()
        if axon is not None and bank.stamped:
            self.listener.stamp(1, axon, base + 2, self.banks.seen, bank.seen_at, bank.played + 1)
        elif axon is not None:
            self._count(bank, axon, base + 2)
        bank.state = PLAYING
        self.playing = bank
        self._feed(bank.words_at, bank.end)
        self.began_ms = time.ticks_ms()  # what setting up took is none of its time
        self.ended_ms, self.rest_ticks = -1, 0

    def _feed(self, begin: int, end: int) -> None:
        """Start the sequencer on the words begin…end−1."""
        options = {"sideset_base": self.lines[0]}
        if len(self.lines) > 3:
            options["out_base"] = self.lines[3]
        self.machine.init(self.program, sequencer.TICK_HZ, **options)
        self.loaded = True
        self.machine.active(1)
        self._fill(self.feeds[0], begin, end, True)
        if self.halted:  # the interrupt came while this was on its way
            self.halt()

    def _fill(self, feed, begin: int, end: int, trigger: bool) -> None:
        feed.config(
            read=memoryview(self.banks.words)[begin:end],
            write=self.machine,
            count=end - begin,
            ctrl=feed.pack_ctrl(size=2, inc_write=False, treq_sel=0),
            trigger=trigger,
        )

    def _prepare(self, bank: Bank) -> None:
        """Have DMA go on with this bank, unless the sequencer has to be set up anew or the shot in hand is as good as
        over: then `advance` begins it.
        """
        if self.listener.counting < 0 or bank.timing.width != self.playing.timing.width:
            return
        first, second = self.feeds
        self.listener.prepare(self.banks.seen, bank.seen_at, 2 * bank.played + 2)
        self._fill(second, bank.words_at + 1, bank.end, False)
        self.follows_at = second.read
        chained = first.pack_ctrl(size=2, inc_write=False, treq_sel=0, chain_to=second.channel)
        interrupts = machine.disable_irq()  # so that what is left now still is when they are told
        if first.count > LEAST_LEFT and not self.halted:
            self.listener.chain()
            first.ctrl = chained
            self.following = bank
        machine.enable_irq(interrupts)

    def _counted(self, _channel) -> None:
        """All counts of the shot in hand have come. An interrupt."""
        if self.ended_ms < 0:
            self.ended_ms = time.ticks_ms()

    def _count(self, bank: Bank, axon: int, sync: int) -> None:
        qualify_ns = self.settings["qualify_ns"]
        self.listener.count(axon, sync, qualify_ns, self.banks.seen, bank.seen_at, 2 * bank.played + 2)

    def listen(self, slots: int, spikes: bool) -> Bank:
        """Count a shot of so many played slots that somebody else plays, and stamp its edges of sync, and its `spikes`
        if asked; raises ProtocolError.
        """
        axon, sync = self.settings["axon"], self.settings["sync"]
        if axon is None or sync is None:
            raise ProtocolError("state", "listening needs the pins axon and sync: setup first")
        if self.playing is not None:
            self.end_listening()
        bank = self.banks.room(slots)
        bank.take(slots, True, None)
        bank.state = PLAYING
        self._count(bank, axon, sync)
        self.listener.stamp(0, axon if spikes else None, sync, self.banks.words, bank.words_at, slots + 1)
        self.playing = bank
        self.began_ms = time.ticks_ms()
        return bank

    def end_listening(self) -> None:
        """What has been listened to is over."""
        if self.playing is not None and self.playing.timing is None:
            self._end(self.playing)

    def advance(self) -> bool:
        """Notice the end of a shot and begin the queued one; False when a shot has stalled and must be stopped."""
        bank = self.playing
        if bank is None or bank.timing is None:
            return True
        elapsed_ms = time.ticks_diff(time.ticks_ms(), self.began_ms)
        late_ms = elapsed_ms - bank.ticks // TICKS_A_MS
        if late_ms < 0:
            return True
        busy = self.feeds[0].active() or self.machine.tx_fifo()  # asked first: not busy, DMA has gone on
        if self.following is not None and self.feeds[1].read != self.follows_at:
            return self._go_on(bank, self.following) or late_ms < LATE_MS
        if busy:
            return late_ms < LATE_MS
        self.following = None
        bank.elapsed_ms = elapsed_ms
        self._end(bank)
        for other in self.banks.banks:
            if other.state == QUEUED:
                self._begin(other)
        return True

    def _go_on(self, bank: Bank, following: Bank) -> bool:
        """The words of the next shot are being fed: has this one ended? False where that cannot be told yet."""
        taken = self._taken(following)
        missing = self.listener.counts[0].count
        if missing:
            if taken > 0:
                self._give_up(bank, following, "edges of sync: %d missing" % missing)
            return taken > 0
        step = self._step(following)
        if step is None:
            return False
        if not 0 <= step <= 1:  # the last may be on its way
            self._give_up(bank, following, "edges of sync: %d %s" % (abs(step), "missing" if step > 0 else "too many"))
            return True
        ended_ms = self.ended_ms if self.ended_ms >= 0 else time.ticks_ms()
        bank.elapsed_ms = time.ticks_diff(ended_ms, self.began_ms)
        self.listener.swap()
        self.feeds = self.feeds[::-1]
        length_ms, self.rest_ticks = divmod(bank.ticks + bank.timing.settle + self.rest_ticks, TICKS_A_MS)
        began_ms = time.ticks_add(self.began_ms, length_ms)
        if time.ticks_diff(ended_ms, began_ms) > LATE_END_MS:
            began_ms, self.rest_ticks = ended_ms, 0
        self.playing, self.began_ms = following, began_ms
        self.ended_ms = -1
        self.following = None
        following.state = PLAYING
        self._done(bank)  # what came after its last edge is in the first count of the shot that followed, as `before`
        return True

    def _taken(self, following: Bank) -> int:
        """How many words of the next shot the sequencer has taken; less than 1 before it plays."""
        return following.end - following.words_at - 1 - self.feeds[1].count - self.machine.tx_fifo()

    def _step(self, following: Bank) -> "int | None":
        """Edges of sync that the next shot has made and that have not been counted; None where they come too fast, and
        before it has begun.
        """
        counts, words = self.listener.counts[1], 2 * following.played + 2
        for _ in range(LOOKS):
            interrupts = machine.disable_irq()
            before = counts.count
            taken = self._taken(following)
            after = counts.count
            machine.enable_irq(interrupts)
            if before == after and taken >= 0:
                return sequencer.edges(taken, following.played) - (words - before)
        return None

    def _give_up(self, bank: Bank, following: Bank, fault: str) -> None:
        """Stop: neither what was counted of this shot nor what would be of the next can be told."""
        for one in (bank, following):
            one.fault = fault
            self._done(one)
        self.rest()

    def _end(self, bank: Bank) -> None:
        if self.listener.counting >= 0:
            missing, extra, bank.after = self.listener.counted()
            if missing or extra:
                bank.fault = "edges of sync: %d missing, %d too many" % (missing, extra)
        if self.listener.stamping >= 0:
            bank.stamps, over, missing = self.listener.stamped()
            if missing and not bank.fault:
                bank.fault = "edges of sync: %d missing" % missing
            elif over:
                bank.fault = "more than %d spikes to stamp" % STAMPS
        self.playing = None
        self._done(bank)

    def _done(self, bank: Bank) -> None:
        bank.state = DONE
        bank.fetched = self.settings["axon"] is None  # nothing was counted
        self.done = bank.shot

    def slots_counted(self) -> int:
        """Slots of the shot in hand of which all is counted, never all of them: that is told when it has ended."""
        bank = self.playing
        words = 2 * bank.played + 2 - self.listener.counts[0].count
        return min(max(0, words - 1) // 2, bank.played - 1)

    def sync_test(self, ticks: int) -> str:
        """One sync pulse from the sequencer through its pin to the counter: `ok`, what is wrong, or `none`.

        The closing pulse of a shot is a shot by itself that leaves dendrite, reset and selects alone.
        """
        axon = self.settings["axon"]
        if not self.pins or axon is None:
            return "none"
        if self.halted:
            return "stopped"
        words = self.banks.words
        timing = sequencer.Timing(False, ticks, ticks, ticks, ticks, ticks, 4 * ticks)
        bank = self.banks.room(1)
        end = sequencer.close_words(words, sequencer.open_words(words, bank.words_at, timing), timing)
        self.listener.count(axon, self.settings["base"] + 2, self.settings["qualify_ns"], self.banks.seen, 0, 2)
        self._feed(bank.words_at, end)
        for _ in range(50):  # microseconds are enough; a simulated board may be late
            if not self.listener.counts[0].count:
                break
            time.sleep_ms(2)
        time.sleep_ms(2)  # for words too many
        missing, extra, _ = self.listener.counted()
        self.rest()
        return "ok" if missing == 0 and extra == 0 else "%d_missing_%d_extra" % (missing, extra)
