"""The two descriptions of the package, package.xml and setup.py, tell the same story, and it is the true one."""

import ast
import importlib
import re
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

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
PINNED = ('test', 'docs', 'ros-wheels', 'export', 'benchmark', 'models', 'rerun')  # extras that the tests run with
NODES = {'depth_node', 'trainer_node', 'camera_simulator', 'rerun_view'}
EXECUTABLES = {*NODES, 'acceptance', 'calibrate_lens', 'plan_lens', 'demo', 'train', 'evaluate', 'benchmark', 'export'}
# imported only where they are installed
OPTIONAL = {
    'embreex',
    'gsplat',
    'onnxruntime',
    'onnxscript',
    'rerun',
    'rerun_cli',
    'tensorrt',
    'transformers',
    'trimesh',
}


@pytest.fixture(scope='module')
def manifest():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


@pytest.fixture(scope='module')
def setup():
    """What setup.py says, read without installing anything."""
    setuptools = pytest.importorskip('setuptools')
    told = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, 'setup', told.update)
        runpy.run_path('setup.py')
    return told


def names_of(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.match(r'[\w-]+', text).group() for text in requirements}


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


def test_metadata_agree(manifest, setup):
    assert manifest.findtext('version') == setup['version']
    assert manifest.findtext('description') == setup['description']
    assert manifest.findtext('maintainer') == setup['maintainer']
    assert manifest.find('maintainer').get('email') == setup['maintainer_email']


def test_every_import_is_a_declared_dependency(manifest, setup):
    keys = {element.text for element in manifest.iter('exec_depend')}
    names = names_of(setup['install_requires'])
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


def test_no_ros_wheel_is_required(setup):
    assert not [text for text in setup['install_requires'] if text.startswith('ros-')]
    assert all(text.startswith('ros-') for text in setup['extras_require']['ros-wheels'])


def test_colcon_finds_pytest(setup):
    assert 'pytest<9' in setup['extras_require']['test']


def test_executables_exist(setup):
    targets = dict(line.split(' = ') for line in setup['entry_points']['console_scripts'])
    assert set(targets) >= EXECUTABLES
    for target in targets.values():
        module, function = target.split(':')
        assert callable(getattr(importlib.import_module(module), function))


def test_data_files_are_those_of_the_share_directory(setup):
    files = {name for _, names in setup['data_files'] for name in names}
    expected = {path for tree in ('config', 'launch', 'models') for path in (ROOT / tree).rglob('*.*')}
    assert {path.relative_to(ROOT).as_posix() for path in expected if '__pycache__' not in path.parts} <= files
    assert {'package.xml', 'resource/dfd_depth_ros'} <= files


def test_constraints_pin_every_requirement(setup):
    pinned = set(re.findall(r'^([\w.-]+)==', (ROOT / 'constraints.txt').read_text(), flags=re.MULTILINE))
    extras = setup['extras_require']
    assert names_of([*setup['install_requires'], *(text for name in PINNED for text in extras[name])]) <= pinned
