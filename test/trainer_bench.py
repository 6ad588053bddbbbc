"""A trainer node and a tester in one process; the learner is a quick stand-in that needs no torch."""

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from node_bench import LENS, START, NodeBench, wait
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import UInt8MultiArray

from dfd_depth_ros.networks.weights import write_whole
from dfd_depth_ros.ros import qos
from dfd_depth_ros.ros.trainer_node import TrainerNode

INPUTS = {'image_raw': Image, 'camera_info': CameraInfo, 'lens': JointState, 'pose': PoseStamped}
CLIENT_S = 5.0


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Decision:
    accepted: bool
    reason: str
    before: float
    after: float
    step: int


@dataclass
class Progress:
    state: str
    step: int
    losses: dict = field(default_factory=dict)
    decision: Decision | None = None


class FakeLearner:
    """Its weights are a number in JSON, padded to `size` bytes; every `every` steps the gate accepts the next number,
    or rejects it where `rejects`. Trains once it has `needed` pictures. `hurdle` is called before each step."""

    size, every, needed, rejects = 1000, 5, 2, False

    def __init__(self, settings=None, hurdle=lambda: None):
        self.settings, self.hurdle = settings, hurdle
        self.steps, self.seen, self.reports, self.threads = 0, [], [], set()
        self.history, self.number = [], 0

    def weights(self):
        return json.dumps({'number': self.number}).encode().ljust(self.size)

    @property
    def digest(self):
        return sha(self.weights())

    def add(self, image, lens, stamp, pose, camera):
        self.threads.add(threading.get_ident())
        if image.shape[0] < 4:
            raise ValueError('the picture is too small')
        self.seen.append((image, lens, stamp, pose, camera))
        return len(self.seen) % 2 == 1

    def step(self):
        self.threads.add(threading.get_ident())
        self.hurdle()
        if len(self.seen) < self.needed:
            return Progress('waiting', self.steps)
        time.sleep(0.001)
        self.steps += 1
        decision = None
        if self.steps % self.every == 0:
            decision = Decision(not self.rejects, 'residuals', 0.5, 0.25, self.steps)
            if decision.accepted:
                self.history.append(self.number)
                self.number += 1
        return Progress('training', self.steps, {'photometric': 1 / self.steps}, decision)

    def rollback(self):
        if not self.history:
            raise ValueError('there are no earlier weights to go back to')
        self.number = self.history.pop()
        return self.digest

    def reset(self):
        self.number, self.history, self.seen = 0, [], []
        return self.digest

    def save(self, folder):
        write_whole(folder / 'weights.safetensors', self.weights())
        write_whole(folder / 'state.json', json.dumps({'number': self.number, 'steps': self.steps}).encode())

    def resume(self, folder):
        file = folder / 'state.json'
        if not file.exists():
            return False
        state = json.loads(file.read_text())
        self.number, self.steps = state['number'], state['steps']
        return True

    def report(self, folder):
        self.reports.append(folder)


class TrainerBench(NodeBench):
    """A trainer and its tester. learners: all that it made."""

    def __init__(self, folder, learner=FakeLearner, parameters=LENS, **options):
        self.learners = []
        values = LENS | {'background': False, 'state_dir': str(folder), 'budget': 1.0} | parameters
        overrides = [Parameter(name, value=value) for name, value in values.items()]

        def make(settings):
            self.learners.append(learner(settings))
            return self.learners[-1]

        node = TrainerNode(make=make, parameter_overrides=overrides, **options)
        super().__init__(node, INPUTS, options.get('namespace'))
        self.listen('training/state', DiagnosticArray)
        self.listen('weights', UInt8MultiArray, qos.latched())
        self.start()

    @property
    def learner(self):
        return self.learners[-1]

    @property
    def published(self):
        """The weights that came, oldest first."""
        return [bytes(message.data) for message in self.received['weights']]

    def connect(self):
        """Send pictures until the learner has seen two."""
        stamps = iter(range(-START + 1, 0))

        def send():
            self.send(next(stamps) + 0.5)
            time.sleep(0.02)
            return len(self.learner.seen) >= 2

        try:
            wait(send, 'a connection')
        except AssertionError:
            self.__exit__()
            raise
        return self

    def state(self, condition):
        """The first training/state from now on that fulfils the condition: (level, message, values)."""
        return self.first('training/state', condition)

    def call(self, kind, name, **request):
        """The response of a service of the node. Very rarely Fast DDS never tells a client that its service is there,
        and tells the next one at once."""

        def found():
            client, end = self.tester.create_client(kind, f'trainer_node/{name}'), time.monotonic() + CLIENT_S
            while time.monotonic() < end:
                if client.service_is_ready():
                    return client
                time.sleep(0.002)
            self.tester.destroy_client(client)
            return None

        future = wait(found, name).call_async(kind.Request(**request))
        return wait(lambda: future.done() and future.result(), name)
