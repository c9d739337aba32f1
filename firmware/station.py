"""The board as this Pico keeps it: pins, threshold and player, and the latch that parks all three.

Two things look after it besides the loop: interrupts of the e-stop and VBUS pins have the lines low in a fraction of a
millisecond, whatever else goes on; and while the loop waits for the host (`waiting`), a timer does what the loop would.
"""

import os
import time

import machine
import registers
import settings
from dac import CHIPS, DacError, Threshold
from player import Player
from protocol import ProtocolError

I2C_HZ = 400_000
LOOK_MS = 10  # the timer's period
NOTHING_OPENED = (b"", b"")


class Station:
    """Safe from the first line on: lines low, V_th parked, latched until a host clears it.

    `latch` says why the board is safe: boot, watchdog, silence, usb, estop, host, stall, internal; "" while a host is
    at work. `parked` is whether V_th is known to be where the neuron never fires. `tripped` is the reason of an
    interrupt that the loop has not seen yet.
    """

    def __init__(self):
        self.boot = "".join(["%02x" % byte for byte in os.urandom(4)])
        self.latch = "boot"
        self.tripped = ""
        self.waiting = False
        self.estop = self.vbus = None
        self.settings = settings.load()
        self.player = Player(self.settings)
        self.threshold = None
        self.parked = False
        self.opened = NOTHING_OPENED  # the line that began the last shot, and our reply to it
        self.heard_ms = time.ticks_ms()
        self.led = machine.Pin("LED", machine.Pin.OUT, value=0)
        self.wire(self.settings)
        if registers.hung():
            self.latch = "watchdog"
        self.timer = machine.Timer(period=LOOK_MS, mode=machine.Timer.PERIODIC, callback=self._look)

    def wire(self, values) -> None:
        """Take new settings; V_th is parked within them."""
        self.player.wire(values)
        self.settings = values
        self.threshold = None
        if values["dac"] != "none":
            i2c = machine.I2C(0, sda=machine.Pin(0), scl=machine.Pin(1), freq=I2C_HZ)
            chip = CHIPS[values["dac"]](i2c, values["address"], values["vdd_uv"])
            self.threshold = Threshold(chip, values["vth_min_uv"], values["vth_max_uv"])
        self._let_go()
        self.estop = self._input("estop", self._estop_fell)
        self.vbus = self._input("vbus", self._vbus_fell)
        self.park()

    def _input(self, name: str, fell):
        number = self.settings[name]
        if number is None:
            return None
        pin = machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_DOWN)
        pin.irq(handler=fell, trigger=machine.Pin.IRQ_FALLING, hard=True)
        return pin

    def _let_go(self) -> None:
        for pin in (self.estop, self.vbus):
            if pin is not None:
                pin.irq(handler=None)

    def _estop_fell(self, pin) -> None:
        """An interrupt: takes no memory. A level that is high again was a spike on the wire."""
        if not pin.value():
            self.player.halt()
            self.tripped = "estop"

    def _vbus_fell(self, pin) -> None:
        """An interrupt: takes no memory."""
        if not pin.value():
            self.player.halt()
            self.tripped = "usb"

    def _look(self, _timer) -> None:
        """The timer: between two bytecodes of the loop, or while that waits; only there does it act."""
        if self.waiting:
            self.watch()

    def leave(self) -> None:
        """No timer and no interrupt of ours any more."""
        self.timer.deinit()
        self._let_go()

    def park(self) -> bool:
        """V_th to the configured maximum; False where that cannot be."""
        self.parked = False
        if self.threshold is not None:
            try:
                self.threshold.park()
                self.parked = True
            except DacError:
                pass  # reported as parked=0: stopping the lines must not fail for want of a DAC
        return self.parked

    def set_threshold(self, microvolts: int) -> int:
        """Set V_th within the configured range; returns the code. Raises ProtocolError, DacError."""
        if self.threshold is None:
            raise ProtocolError("state", "no DAC: setup first")
        self.check_latch()
        least, most = self.threshold.least_uv, self.threshold.most_uv
        if not least <= microvolts <= most:
            raise ProtocolError("range", "vth=%d uV: %d to %d" % (microvolts, least, most))
        self.parked = False
        return self.threshold.set(microvolts)

    def make_safe(self, reason: str) -> None:
        """Stop, all lines low, V_th parked, latched; the first reason stays."""
        self.player.rest()
        self.park()
        if not self.latch:
            self.latch = reason

    def clear(self) -> None:
        """Take the latch off; raises ProtocolError while e-stop is low."""
        if self.stopped():
            raise ProtocolError("latched", "estop is low: release it first")
        self.latch = self.tripped = ""
        self.player.halted = False
        self.heard()

    def check_latch(self) -> None:
        """Raise ProtocolError while latched."""
        if self.latch:
            raise ProtocolError("latched", "cleared only by the host: " + self.latch)

    def stopped(self) -> bool:
        """E-stop is low: pressed, or its wire is broken."""
        return self.estop is not None and not self.estop.value()

    def heard(self) -> None:
        """The host is alive."""
        self.heard_ms = time.ticks_ms()

    def watch(self) -> None:
        """What may have to stop the bench at any time."""
        if self.latch:
            return
        if self.tripped:
            self.make_safe(self.tripped)
        elif self.stopped():
            self.make_safe("estop")
        elif self.vbus is not None and not self.vbus.value():
            self.make_safe("usb")
        elif time.ticks_diff(time.ticks_ms(), self.heard_ms) > self.settings["silence_ms"]:
            self.make_safe("silence")

    def advance(self) -> None:
        """Go on playing; a stalled shot makes the board safe."""
        if not self.player.advance():
            self.make_safe("stall")

    def show(self) -> None:
        """LED: on while a shot plays, slow blinking at rest, quick blinking while latched."""
        if self.player.playing is not None:
            self.led.value(1)
        else:
            self.led.value(time.ticks_ms() >> (7 if self.latch else 10) & 1)
