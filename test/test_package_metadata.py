"""The two descriptions of the package, package.xml and setup.py, tell the same story, and it is the true one."""

import ast
import importlib.metadata
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from test_layers import imported_names, is_ros, modules

ROOT = Path(__file__).resolve().parents[1]
NAME = 'dfd_depth_ros'

# module: (name on the package index, rosdep key; None where rosdep knows none)
THIRD_PARTY = {
    'cv2': ('opencv-python-headless', 'python3-opencv'),
    'matplotlib': ('matplotlib', 'python3-matplotlib'),
    'mcap': ('mcap', None),
    'numpy': ('numpy', 'python3-numpy'),
    'rosbags': ('rosbags', 'python3-rosbags-pip'),
    'safetensors': ('safetensors', None),
    'scipy': ('scipy', 'python3-scipy'),
    'skimage': ('scikit-image', 'python3-skimage'),
    'torch': ('torch', 'python3-pytorch-pip'),
    'torch.utils.tensorboard': ('tensorboard', 'python3-tensorboard-pip'),
    'tqdm': ('tqdm', 'python3-tqdm'),
    'yaml': ('PyYAML', 'python3-yaml'),
}
EXECUTABLES = {'depth_node', 'camera_simulator', 'demo', 'train', 'evaluate', 'benchmark'}
OPTIONAL = {'gsplat'}  # imported only where it is installed


@pytest.fixture(scope='module')
def manifest():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def imports():
    """Every dotted name that the package and its launch files import."""
    launch_files = [('launch', path.read_text()) for path in sorted((ROOT / 'launch').glob('*.py'))]
    return {
        name
        for path, source in modules() + launch_files
        for _, name in imported_names(ast.parse(source), (NAME, *Path(path).parts[:-1]))
    }


def tops():
    """The third-party modules among the imports."""
    return {name.split('.')[0] for name in imports()} - set(sys.stdlib_module_names) - {NAME, '__future__'} - OPTIONAL


def test_manifest_format(manifest):
    assert manifest.get('format') == '3'
    assert manifest.findtext('name') == NAME
    assert manifest.findtext('export/build_type') == 'ament_python'


def test_metadata_agree(manifest):
    metadata = importlib.metadata.metadata(NAME)
    assert manifest.findtext('version') == metadata['Version']
    assert manifest.findtext('description') == metadata['Summary']
    assert manifest.findtext('maintainer') == metadata['Maintainer']
    assert manifest.find('maintainer').get('email') == metadata['Maintainer-email']


def test_every_import_is_a_declared_dependency(manifest):
    keys = {element.text for element in manifest.iter('exec_depend')}
    requirements = [text for text in importlib.metadata.requires(NAME) if 'extra ==' not in text]
    names = {re.match(r'[\w-]+', text).group() for text in requirements}
    ros = {top for top in tops() if is_ros(top) or top == 'ament_index_python'}
    assert ros <= keys
    assert tops() - ros <= set(THIRD_PARTY)
    for module, (name, key) in THIRD_PARTY.items():
        assert name in names, f'{module} is missing in setup.py'
        assert key is None or key in keys, f'{module} is missing in package.xml'


def test_every_declared_dependency_is_imported():
    used = imports()
    unused = [m for m in THIRD_PARTY if not any(name == m or name.startswith(f'{m}.') for name in used)]
    assert unused == []


def test_no_ros_wheel_is_required():
    wheels = [text for text in importlib.metadata.requires(NAME) if text.startswith('ros-')]
    assert wheels
    assert all('extra == "ros-wheels"' in text for text in wheels)


def test_executables_exist():
    points = importlib.metadata.distribution(NAME).entry_points.select(group='console_scripts')
    assert {point.name for point in points} >= EXECUTABLES
    assert all(callable(point.load()) for point in points)


def test_constraints_pin_every_requirement():
    pinned = set(re.findall(r'^([\w.-]+)==', (ROOT / 'constraints.txt').read_text(), flags=re.MULTILINE))
    required = {
        re.match(r'[\w-]+', text).group() for text in importlib.metadata.requires(NAME) if 'extra == "gpu"' not in text
    }
    assert required <= pinned
