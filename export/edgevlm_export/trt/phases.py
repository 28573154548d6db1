"""How far a build is, told by TensorRT as phases inside phases. Knows no TensorRT."""

from dataclasses import dataclass

from edgevlm_export.bundle_writer import Progress

PER_CENT = 100


@dataclass(slots=True)
class _Phase:
    name: str
    steps: int
    done: int = 0


class Phases:
    """Turns nested phases into per cent of a build. What is told out of order moves nothing back."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: list[_Phase] = []
        self._told = 0
        progress.start(PER_CENT)

    def start(self, name: str, steps: int) -> None:
        """A phase begins, inside of those that have not ended."""
        self._open.append(_Phase(name, max(1, steps)))

    def step(self, name: str, step: int) -> None:
        """Step `step` of a phase, counted from 0, is done, and so is all inside of it."""
        for depth, phase in enumerate(self._open):
            if phase.name == name:
                phase.done = min(step + 1, phase.steps)
                del self._open[depth + 1 :]
                self._tell(self._fraction())
                return

    def finish(self, name: str) -> None:
        """A phase ends. The outermost one may have been stopped early, so its end is not the build's."""
        names = [phase.name for phase in self._open]
        if name in names:
            del self._open[names.index(name) :]

    def close(self) -> None:
        """All is done."""
        self._tell(1)
        self._progress.finish()

    def _fraction(self) -> float:
        inner = 0.0
        for phase in reversed(self._open):
            inner = min(1.0, (phase.done + inner) / phase.steps)
        return inner

    def _tell(self, fraction: float) -> None:
        done = int(fraction * PER_CENT)
        if done > self._told:
            self._progress.advance(done - self._told)
            self._told = done
