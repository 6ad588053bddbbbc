"""The house rules: who may import whom, where ROS lives, how long a module may be, and that it explains itself."""

import ast
from pathlib import Path

import pytest

import dfd_depth_ros

PACKAGE = 'dfd_depth_ros'
# A room may import only itself, the rooms before it and the modules of the top level.
ROOMS = [
    'optics',
    'scenes',
    'networks',
    'splatting',
    'temporal',
    'estimation',
    'evaluation',
    'training',
    'ros',
    'benchmarks',
    'cli',
]
ROS_PACKAGES = {'cv_bridge', 'launch', 'launch_ros', 'message_filters', 'rclpy', 'sensor_msgs_py', 'tf2_ros'}
MAX_LINES = 400
# Methods that PyTorch and rclpy call by name: the class says what they do.
LIFECYCLE = {'on_configure', 'on_activate', 'on_deactivate', 'on_cleanup', 'on_shutdown', 'destroy_node'}
FRAMEWORK_METHODS = {'forward', *LIFECYCLE}


def imported_names(tree: ast.Module, package: tuple[str, ...]):
    """(line, dotted name) of everything that a module imports, also inside functions and through `importlib`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = '.'.join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f'{module}.{alias.name}') for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(('import_module', '__import__')):
            yield from ((node.lineno, arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def is_ros(name: str) -> bool:
    """Whether a dotted name belongs to ROS: its client library, launch, or a message package."""
    top = name.split('.')[0]
    return top in ROS_PACKAGES or top.endswith(('_msgs', '_interfaces', '_srvs'))


def undocumented(tree: ast.Module):
    """(line, name) of the module and of its public classes, methods and functions that have no docstring."""
    if tree.body and not ast.get_docstring(tree):
        yield 1, 'module'
    places = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith('_'))]
    nodes = [node for place in places for node in place.body]
    definitions = [node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in definitions:
        if not node.name.startswith('_') and node.name not in FRAMEWORK_METHODS and not ast.get_docstring(node):
            yield node.lineno, node.name


def violations(source: str, path: str) -> list[str]:
    """One sentence for every house rule that a module breaks; `path` is relative to the package, as `ros/qos.py`."""
    parts = Path(path).with_suffix('').parts
    tree = ast.parse(source)
    room = parts[0] if len(parts) > 1 else None
    allowed = ROOMS[: ROOMS.index(room) + 1] if room else []
    found = [f'{path}:{line}: {name} has no docstring' for line, name in undocumented(tree)]
    if source.count('\n') > MAX_LINES:
        found.append(f'{path}: {source.count(chr(10))} lines, {MAX_LINES} is the most')
    for line, name in imported_names(tree, (PACKAGE, *parts[:-1])):
        other = name.split('.')[1] if name.startswith(f'{PACKAGE}.') else None
        if other in ROOMS and other not in allowed:
            found.append(f'{path}:{line}: {room or "the top level"} must not import {other}')
        if is_ros(name) and room != 'ros':
            found.append(f'{path}:{line}: {name.split(".")[0]} belongs in ros/')
    return found


def modules():
    """(path relative to the package, source) of every module."""
    root = Path(dfd_depth_ros.__file__).parent
    return [(path.relative_to(root).as_posix(), path.read_text()) for path in sorted(root.rglob('*.py'))]


def test_every_room_is_in_the_order():
    assert {path.split('/')[0] for path, _ in modules() if '/' in path} <= set(ROOMS)


@pytest.mark.parametrize(('path', 'source'), [pytest.param(*module, id=module[0]) for module in modules()])
def test_house_rules(path, source):
    assert violations(source, path) == []


GOOD = '"""Doc."""\n'


@pytest.mark.parametrize(
    ('path', 'source', 'complaint'),
    [
        ('optics/a.py', 'import dfd_depth_ros.networks.b', 'optics/a.py:2: optics must not import networks'),
        ('optics/a.py', 'from dfd_depth_ros import networks', 'optics/a.py:2: optics must not import networks'),
        ('optics/a.py', 'from ..scenes import frame', 'optics/a.py:2: optics must not import scenes'),
        ('ros/a.py', 'def _f():\n    from dfd_depth_ros.cli.demo import main', 'ros/a.py:3: ros must not import cli'),
        ('paths.py', 'from dfd_depth_ros.optics.lens import Lens', 'paths.py:2: the top level must not import optics'),
        ('cli/a.py', 'import rclpy.node', 'cli/a.py:2: rclpy belongs in ros/'),
        ('scenes/a.py', 'from sensor_msgs.msg import Image', 'scenes/a.py:2: sensor_msgs belongs in ros/'),
        ('cli/a.py', "import importlib\nimportlib.import_module('rclpy')", 'cli/a.py:3: rclpy belongs in ros/'),
        ('optics/a.py', 'x = 1\n' * 400, 'optics/a.py: 401 lines, 400 is the most'),
        ('optics/a.py', 'def f():\n    return 1', 'optics/a.py:2: f has no docstring'),
        ('optics/a.py', 'class C:\n    """Doc."""\n    def m(self): ...', 'optics/a.py:4: m has no docstring'),
    ],
)
def test_bad_modules_are_found(path, source, complaint):
    assert violations(GOOD + source, path) == [complaint]


def test_missing_module_docstring_is_found():
    assert violations('x = 1\n', 'optics/a.py') == ['optics/a.py:1: module has no docstring']


@pytest.mark.parametrize(
    ('path', 'source'),
    [
        ('ros/a.py', 'import rclpy\nfrom sensor_msgs.msg import Image\nfrom dfd_depth_ros.estimation import estimator'),
        (
            'scenes/a.py',
            'from dfd_depth_ros.paths import resolve_path\nfrom .frame import Frame\nimport rosbags.rosbag2',
        ),
        ('cli/a.py', 'def _private():\n    return 1\nclass _Private:\n    def m(self): ...'),
        ('cli/__init__.py', ''),
    ],
)
def test_good_modules_pass(path, source):
    assert violations(source and GOOD + source, path) == []
