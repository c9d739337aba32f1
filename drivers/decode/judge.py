"""Is this what an axon's pulse looks like? Every pulse is counted, passed over as a moment's glitch, or doubted.

The measure is a pulse's mean height over the width that the board's one-shot makes, against that of its neighbours: a
short pulse, a low one and one in noise all fall short in it. What lies between a pulse and nothing is doubtful, and so
is what no one-shot makes: a pulse too wide, a second one before the first could be over, a rest level that jumps.
Doubt spoils the slots that it touches, never a count.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from drivers.decode.measured import Reading
from drivers.decode.schmitt import Pulses
from drivers.decode.shapes import Tail, aligned, end_heights, middle_heights, tail_of, tails, without_moment
from drivers.signals import BoolArray, FloatArray

REASONS = ("too low", "too short", "too wide", "too tall", "echoes of another", "begun before the record")
SHIFTED = "at a shifted rest level"  # of a note
PULSE, NOTHING = 0.42, 0.2  # of the typical height: at least this is a pulse, at most that is none
SURE = 5.5  # σ of a height's noise that no noise reaches
CHANCE = 5.0  # σ that noise alone reaches where it was found because it is high
LOST = 5.2  # σ that no pulse falls short by
TALL = 3.0  # times the typical height: another line's pulse, not this one's
FEW, SHORT = 3, 1.3  # with so few samples a pulse, one not wider than so many may be a glitch that fell on one
WIDE, WIDE_TORN = 1.45, 1.25  # times the typical width; of a pulse in one piece, and of one joined from several
WIDE_FEW = 1.1  # of few samples: two pulses between which no sample lies are hardly more than twice as wide
PAIRS, PAIRED, PAIRED_ONLY = 4, 0.2, 0.4  # so many, this share of all, and of what is near another: echoes
ECHO = 0.8  # of the height of the pulse before it
ECHOES, ECHOES_ONLY = 0.93, 0.5  # of the height before them many of one delay are, this share of what is near another
REST_MOVES, REST_WANDERS = 0.65, 1.0  # of the swing: so far from where it mostly is may rest be, and go bit by bit
REST_STRIDE = 0.3  # of the swing, from block to block: a line that hums or drifts never takes it
REST_STEPS = 0.12  # of the swing, from block to block but one
_SUDDEN = 0.4  # of a step: rest that moves by less before and after it jumps, and does not swing
_NOISE_STEPS = 2.2  # of the noise: eight times what the means of two blocks differ by through noise alone
SLIM, SLIM_OTHERS = 0.6, 0.3  # of the typical height: lower ones must be so high but for their highest moment, too
GLITCH, MOMENTARY = 0.7, 0.5  # of the swing: what is as high for a moment, and at most so high else, is a glitch


@dataclass(frozen=True)
class Shape:
    """What the board makes: width of an axon pulse, and the least time from one to the next.

    `echo_s`: a lower pulse that follows another one sooner than this is taken for its echo. `glitch_s`: what is
    narrower is a glitch.
    """

    width_s: float
    apart_s: float
    echo_s: float
    glitch_s: float


@dataclass(frozen=True, eq=False)
class Usual:
    """What pulses of a line are like: the tail they leave, their width, and how late their echoes come, s."""

    tail: Tail
    width_s: float
    echo_s: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Judged:
    """`pulses` to be counted; `doubts` (n, 2), s from the trigger, when something was not as it should be.

    `glitches` were passed over. `reasons` counts doubts by kind.
    """

    pulses: Pulses
    doubts: FloatArray
    glitches: int
    usual: Usual
    reasons: dict[str, int] = field(default_factory=dict)


def judge(reading: Reading, shape: Shape) -> Judged:
    """Sort the pulses of an axon."""
    judged, moves = sort_out(reading, shape), unrest(reading)
    if not len(moves):
        return judged
    reasons = {**judged.reasons, SHIFTED: len(moves)}
    return replace(judged, doubts=np.concatenate([judged.doubts, moves]), reasons=reasons)


def sort_out(reading: Reading, shape: Shape, usual: Usual | None = None) -> Judged:
    """The same, whatever the line rests at; of a piece by what is `usual` in the whole."""
    step = reading.trace.x_increment_s
    pulses, typical = reading.pulses, reading.height
    heights = reading.heights / typical if typical else np.zeros(len(pulses))
    noise = reading.noise / typical if typical else 0.0
    sure, none = limits(noise)
    glitch = np.ones(len(pulses), dtype=np.bool_)
    tail = usual.tail if usual else tail_of(reading.seen, pulses, heights >= sure)
    if typical:
        left = tails(reading.seen, pulses, heights >= sure, tail)
        left /= typical
        heights -= left
        unsure = (heights < sure) | (pulses.width_s < shape.glitch_s)
        if unsure.any():
            middle = aligned(reading.seen, pulses, unsure)
            heights[unsure] = reading.seen.mean(middle, reading.window) / typical - left[unsure]
        glitch = heights < none
        if unsure.any():
            glitch[unsure] |= _momentary(reading, shape, none * typical, middle, pulses.width_s[unsure])
    low = ~glitch & ((heights < sure) | _one_moment(reading, shape, heights))
    real = ~glitch & ~low
    width_s = pulses.width_s
    if usual is None:
        middle_s = float(np.median(width_s[real], overwrite_input=True)) if real.any() else 0.0
        usual = Usual(tail, max(shape.width_s, middle_s), _echoes(pulses.rise_s, heights, real, shape, 1.5 * step))
    short = real & (reading.window <= FEW) & (width_s < SHORT * step)
    most_s = WIDE * usual.width_s + 2 * step
    if reading.window <= FEW:
        most_s = WIDE_FEW * usual.width_s + 1.1 * step
    wide = (width_s > most_s) | (reading.torn & (width_s > WIDE_TORN * usual.width_s + 2 * step))
    wide &= real
    del width_s
    if wide.any():
        # Noise may keep a slow tail from ending: a second pulse in it would be as high at its end.
        ends = end_heights(reading.seen, pulses.where(wide), tail)
        wide[wide] = (ends > none * typical) | ~np.isfinite(pulses.fall_s[wide])
    tall = real & (heights > TALL)
    early = real & _follow_too_soon(reading, heights, real, shape, usual.echo_s)
    doubted = low | short | wide | tall | early
    spans = [np.stack([pulses.rise_s[doubted], pulses.fall_s[doubted]], axis=1)]
    if pulses.starts_high:
        spans.append(np.array([[-np.inf, pulses.begins_low_s]]))
    reasons = dict(zip(REASONS, (low, short, wide, tall, early), strict=False))
    counted = {kind: int(which.sum()) for kind, which in reasons.items() if which.any()}
    if pulses.starts_high:
        counted[REASONS[-1]] = 1
    counting = pulses.where(real & ~doubted)
    return Judged(counting, np.concatenate(spans), _glitches(reading, glitch), usual, counted)


def _glitches(reading: Reading, glitch: BoolArray) -> int:
    """How many of the moments passed over reach as high as pulses do."""
    moments = middle_heights(reading.seen, reading.pulses.where(glitch)) if glitch.any() else np.empty(0)
    return reading.beside + int((moments > max(GLITCH * reading.swing, SURE * reading.levels.noise)).sum())


def _one_moment(reading: Reading, shape: Shape, heights: FloatArray) -> BoolArray:
    """Which pulses are as high (n,) as low ones are only because of one moment: a glitch in noise."""
    which = (heights < SLIM) & (reading.smoothed == 1)
    if which.any():
        middle = aligned(reading.seen, reading.pulses, which)
        _, _, others = without_moment(reading.seen, middle, _moment(reading, shape))
        which[which] = others < SLIM_OTHERS * reading.height
    return which


def _moment(reading: Reading, shape: Shape) -> int:
    """Samples of a glitch."""
    return max(1, round(shape.glitch_s / reading.trace.x_increment_s))


def _momentary(
    reading: Reading, shape: Shape, none: float, middle: FloatArray, width_s: FloatArray
) -> NDArray[np.bool_]:
    """Which of some low or narrow pulses are high for a glitch's time, and nothing but for that.

    Noise makes a narrow pulse of a low one; then the samples beside it are not at rest.
    """
    tops, next_top, others = without_moment(reading.seen, middle, _moment(reading, shape))
    sharp = (next_top < MOMENTARY * reading.swing) & (tops > GLITCH * reading.swing) & (reading.smoothed == 1)
    found: NDArray[np.bool_] = (others < none) & (sharp | (width_s < shape.glitch_s))
    return found


def limits(noise: float) -> tuple[float, float]:
    """The least height of a pulse and the greatest of none, both relative, in noise so much of a pulse's height."""
    return max(PULSE, SURE * noise), min(max(NOTHING, CHANCE * noise), max(0.05, 1 - LOST * noise))


def _follow_too_soon(
    reading: Reading, heights: FloatArray, real: BoolArray, shape: Shape, echo_s: tuple[float, ...]
) -> BoolArray:
    """Which pulses come before the one-shot can be ready again, or are a taller one's echo."""
    rise_s, slack_s = reading.pulses.rise_s, 1.5 * reading.trace.x_increment_s
    which = np.flatnonzero(real)
    gap = np.diff(rise_s[which])
    at = np.flatnonzero(gap < shape.echo_s)
    echoes = heights[which[at + 1]] / heights[which[at]] < ECHO
    if echoes.any():
        echoes[echoes] = _lower(reading, heights, which[at[echoes]], which[at[echoes] + 1])
    for delay_s in echo_s:
        echoes |= np.abs(gap[at] - delay_s) <= slack_s
    early = np.zeros(len(rise_s), dtype=np.bool_)
    early[which[1:]] = gap < shape.apart_s - slack_s
    early[which[at[echoes] + 1]] = True
    return early


def _lower(reading: Reading, heights: FloatArray, first: NDArray[np.intp], second: NDArray[np.intp]) -> BoolArray:
    """(pairs,) whether the second is too low for a pulse like the first, but for a sample each that fell on an edge:
    of few samples one makes a pulse seem low.
    """
    pair = np.zeros(len(heights), dtype=np.bool_)
    pair[first] = pair[second] = True
    codes, rest = reading.seen.at(aligned(reading.seen, reading.pulses, pair), reading.window)
    inner = np.sort(codes, axis=1)[:, min(1, codes.shape[1] - 1) :].mean(axis=1) - rest
    raised = heights.copy()
    raised[pair] += np.maximum(inner - reading.heights[pair], 0.0) / reading.height
    lower: BoolArray = raised[second] / raised[first] < ECHO
    return lower


def _echoes(
    rise_s: FloatArray, heights: FloatArray, real: BoolArray, shape: Shape, slack_s: float
) -> tuple[float, ...]:
    """How late echoes come, if there are any."""
    which = np.flatnonzero(real)
    gap = np.diff(rise_s[which])
    soon = gap < shape.echo_s
    at = np.flatnonzero(soon)
    if not len(at):
        return ()
    of_before = heights[which[at + 1]] / heights[which[at]]
    return (*_paired(soon, gap, slack_s), *_fainter(gap[at], of_before, len(gap), slack_s))


def _paired(soon: BoolArray, gap: FloatArray, slack_s: float) -> tuple[float, ...]:
    """The one delay of pairs: a neuron firing by itself goes on, an echo comes once, on time."""
    alone = soon & ~np.concatenate([[False], soon[:-1]]) & ~np.concatenate([soon[1:], [False]])
    if alone.sum() < max(PAIRS, PAIRED * len(gap)) or alone.sum() < PAIRED_ONLY * soon.sum():
        return ()
    low, middle, high = np.quantile(gap[alone], [0.1, 0.5, 0.9])
    return (float(middle),) if high - low <= slack_s else ()


def _fainter(gap: FloatArray, of_before: FloatArray, gaps: int, slack_s: float) -> tuple[float, ...]:
    """The delay of most short gaps (n,), of so many, if they lead to pulses that are lower, taken together: a one-shot
    makes all its pulses equally high, so these are echoes, also where they stand close to other pulses.
    """
    middle = float(np.median(gap))
    near = np.abs(gap - middle) <= slack_s
    many = near.sum() >= max(PAIRS, PAIRED * gaps, ECHOES_ONLY * len(gap))
    return (middle,) if many and np.median(of_before[near]) < ECHOES else ()


def unrest(reading: Reading) -> FloatArray:
    """(n, 2) s: when a line rests elsewhere than it mostly does, or where its rest has jumped to and stayed."""
    rest, block = reading.levels.rest, reading.levels.block
    if not reading.height or len(rest) < 2:
        return np.empty((0, 2))
    moved = np.diff(rest)
    sudden = bool((np.abs(moved, out=moved) > REST_STRIDE * reading.swing).any())
    del moved
    moved = rest - reading.levels.middle
    off = np.abs(moved, out=moved) > (REST_MOVES if sudden else REST_WANDERS) * reading.swing
    del moved
    off |= _jumped(rest, max(REST_STEPS * reading.swing, _NOISE_STEPS * reading.levels.noise))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]]))).reshape(-1, 2)
    # A block holds the moment of change anywhere, and the median of three hides the one beside it.
    start, stop = edges[:, 0] - 1.0, edges[:, 1] + 1.0
    stop[edges[:, 1] >= len(rest)] = np.inf
    step_s = block * reading.trace.x_increment_s
    return np.stack([start, stop], axis=1) * step_s + reading.trace.x_origin_s


def _jumped(rest: FloatArray, jump: float) -> BoolArray:
    """(blocks,) true from where rest jumps away until where it comes back to about what it was."""
    off = np.zeros(len(rest), dtype=np.bool_)
    step = rest[2:] - rest[:-2]  # about block 1, 2 …
    if np.abs(step, out=step).max(initial=0.0) <= jump:
        return off
    padded = np.pad(step, 3)
    around = np.max([padded[3 + by : 3 + by + len(step)] for by in (-3, -2, 2, 3)], axis=0)
    least = np.full(len(step), jump)
    least[:3], least[-3:] = 2 * jump, 2 * jump  # at either end a line that swings is seen to move on one side only
    jumps: NDArray[np.intp] = np.flatnonzero((step > least) & (around < _SUDDEN * step)) + 1
    until = 0
    for at in jumps.tolist():
        if at >= until:
            back = np.flatnonzero(np.abs(rest[at + 1 :] - rest[at - 1]) < jump / 2)
            until = at + 1 + int(back[0]) if len(back) else len(rest)
            off[at:until] = True
    return off
