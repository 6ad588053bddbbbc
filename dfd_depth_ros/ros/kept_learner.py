"""A learner with a folder and an audience: what it accepts is saved, then published, and its failures are survived."""

from collections.abc import Callable
from pathlib import Path

from dfd_depth_ros.estimation import memory
from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.inputs import sentence

RESTARTING = 'the learner is being made anew after a failure; ask again'


class KeptLearner:
    """Used by one thread. make(): an `OnlineLearner`, once here and again after a failure; what it raises here is not
    caught. folder: its state. publish(data): content of a weights file, to whoever listens."""

    def __init__(self, make: Callable, folder: Path, publish: Callable[[bytes], None], monitor: Monitor):
        self._make, self._folder, self._publish, self._monitor = make, folder, publish, monitor
        self._learner = make()
        self._may_save, self._has_saved, self._published = True, False, ''
        self._kept, self._verdicts = 0, {'accepted': 0, 'rejected': 0}
        monitor.fact(weights_digest=self._learner.digest, state_dir=folder)

    def resume(self) -> None:
        """Go on from the folder, and publish what was learned before. A folder that cannot be used is left as it is,
        with a condition that says so, until somebody calls `save`."""
        try:
            if not self._learner.resume(self._folder):
                return
        except Exception as error:
            self._learner, self._may_save = None, False  # the learner may be half of each
            text = f'state in {self._folder} is not used, and nothing is saved there: {sentence(error)}'
            self._monitor.condition('state', text)
            return
        self._has_saved = True
        self._send()

    def add(self, *view) -> None:
        """Offer a picture, see `OnlineLearner.add`. Raises ValueError for one that is refused, and whatever fails."""
        self._kept += bool(self._ready().add(*view))

    def step(self) -> str:
        """One step; returns the state of the learner. Raises whatever fails."""
        progress = self._ready().step()
        losses = {f'loss.{name}': f'{value:.6g}' for name, value in progress.losses.items()}
        self._monitor.fact(step=progress.step, keyframes=self._kept, **losses)
        if progress.decision is not None:
            self._note(progress.decision)
        return progress.state

    def report(self, folder: Path) -> None:
        """Have pictures and curves written; a failure is an error in the diagnostics."""
        try:
            self._ready().report(folder)
        except Exception as error:
            self._monitor.error('report', f'no report was written: {sentence(error)}')

    def fail(self, error: Exception) -> None:
        """The learner has failed: it is made anew when it is needed next, from the last good weights."""
        self._learner = None
        memory.give_back()
        self._monitor.error('learner', f'learning failed and goes on from the last good weights: {sentence(error)}')

    def answer(self, request: str) -> tuple[bool, str]:
        """Do 'save', 'rollback' or 'reset'. Returns success and a sentence, never raises."""
        try:
            if self._learner is None:
                return False, RESTARTING
            return True, {'save': self._save, 'rollback': self._rollback, 'reset': self._reset}[request]()
        except (ValueError, OSError) as error:
            return False, sentence(error)
        except Exception as error:
            self.fail(error)
            return False, sentence(error)

    def close(self) -> None:
        """Save for the last time what was saved before."""
        if self._learner is not None and self._has_saved:
            self._keep()

    def _ready(self):
        if self._learner is None:
            learner = self._make()
            if self._has_saved:
                self._has_saved = False  # a folder that has become unreadable fails once, not for ever
                self._has_saved = bool(learner.resume(self._folder))
            self._learner, self._kept = learner, 0
            if self._published not in ('', learner.digest):
                self._send()
        return self._learner

    def _note(self, decision) -> None:
        word = 'accepted' if decision.accepted else 'rejected'
        self._verdicts[word] += 1
        self._monitor.fact(
            **self._verdicts,
            decision=f'{word} at step {decision.step}: {decision.reason}',
            decision_before=f'{decision.before:.6g}',
            decision_after=f'{decision.after:.6g}',
        )
        if decision.accepted:
            self._keep()
            self._send()

    def _send(self) -> None:
        self._published = self._learner.digest
        self._monitor.fact(weights_digest=self._published)
        try:
            self._publish(self._learner.weights())
        except Exception as error:
            self._monitor.error('weights', f'weights could not be published: {sentence(error)}')

    def _keep(self) -> None:
        if not self._may_save:
            return
        try:
            self._save()
        except OSError as error:
            self._monitor.error('state', f'state cannot be saved in {self._folder}: {error.strerror or error}')

    def _save(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._learner.save(self._folder)
        self._may_save = self._has_saved = True
        self._monitor.condition('state', '')
        return f'saved in {self._folder}'

    def _rollback(self) -> str:
        sha = self._learner.rollback()
        self._keep()
        self._send()
        return f'rolled back to the weights {sha}'

    def _reset(self) -> str:
        sha, self._kept = self._learner.reset(), 0
        self._keep()
        self._send()
        return f'reset to the weights {sha}; all pictures are forgotten'
