"""How colcon and pip install the package; ROS itself comes from the machine, or from the extra `ros-wheels`."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'dfd_depth_ros'
EXECUTABLES = {
    'depth_node': 'nodes:depth_node',
    'trainer_node': 'nodes:trainer_node',
    'camera_simulator': 'nodes:camera_simulator',
    'rerun_view': 'nodes:rerun_view',
    'demo': 'demo:main',
    'train': 'train:main',
    'evaluate': 'evaluate:main',
    'calibrate_lens': 'calibrate_lens:main',
    'plan_lens': 'plan_lens:main',
    'acceptance': 'acceptance:main',
    'benchmark': 'benchmark:main',
    'export': 'export:main',
}
MODELS = ['embreex; platform_machine == "x86_64"', 'trimesh']  # furniture for training rooms


def share(*trees):
    """Every file of the named folders, folder by folder, as setuptools wants its data files."""
    folders = sorted({path.parent for tree in trees for path in Path(tree).rglob('*') if path.is_file()})
    files = {folder: sorted(str(path) for path in folder.iterdir() if path.is_file()) for folder in folders}
    return [(f'share/{NAME}/{folder}', names) for folder, names in files.items() if '__pycache__' not in folder.parts]


setup(
    name=NAME,
    version='0.1.0',
    description='Metric depth with an honest error bar from one defocused camera.',
    license='Apache-2.0',
    maintainer='dfd_depth_ros maintainers',
    maintainer_email='maintainers@dfd-depth-ros.example',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *share('config', 'launch', 'models'),
    ],
    python_requires='>=3.10',
    install_requires=[
        'matplotlib',
        'mcap',
        'numpy',
        'opencv-python-headless',
        'PyYAML',
        'rosbags',
        'safetensors',
        'scikit-image>=0.25',
        'scipy',
        'tensorboard',
        'torch',
        'tqdm',
    ],
    extras_require={
        'test': ['hypothesis', 'mypy', 'pytest<9', 'pytest-cov', 'pytest-timeout', 'pytest-xdist', 'ruff', *MODELS],
        'docs': ['mkdocs<2', 'mkdocs-material'],
        'ros-wheels': [
            'ros-rclpy',
            'ros-rmw-fastrtps-cpp',
            'ros-diagnostic-msgs',
            'ros-geometry-msgs',
            'ros-lifecycle-msgs',
            'ros-sensor-msgs',
            'ros-std-msgs',
            'ros-std-srvs',
            'ros-visualization-msgs',
        ],
        'export': ['onnx', 'onnxruntime', 'onnxscript'],
        'benchmark': ['transformers'],
        'models': MODELS,
        'rerun': ['rerun-sdk'],
        'gpu': ['gsplat==1.5.3', 'packaging'],
    },
    entry_points={
        'console_scripts': [f'{name} = {NAME}.cli.{target}' for name, target in EXECUTABLES.items()],
    },
)
