"""Furniture from disk: OBJ models with their materials, and where rays meet them.

Folders of models are those of Sweet Home 3D and alike: one OBJ file a model, centimetres, y up. Meshes are read by
trimesh and rays are followed by Embree, both optional (`pip install dfd_depth_ros[models]`).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

SMALLEST_M, LARGEST_M, FACES = 0.03, 2.8, 150_000  # models outside this are left alone
TEXTURE = 512  # longest side of a texture, pixels
TO_ROOM = np.array([0.01, -0.01, -0.01])  # centimetres with y up and z to the viewer -> metres, y down and z ahead


class ModelsError(ValueError):
    """A model or a folder of them that cannot be used, or libraries that are missing; the message says which."""


@dataclass(frozen=True)
class Material:
    """colour: (3,) sRGB 0..1. pyramid: texture and its halvings, (h, w, 3) float32 sRGB each; empty: plain."""

    colour: np.ndarray
    pyramid: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Met:
    """Where rays meet a model, all with the shape (...) of the rays. distance: in lengths of the ray, inf where it
    passes by. normal: (..., 3), unit length, towards the viewer. point: (..., 3) metres in the axes of the model.
    texels: (..., 2) place in the texture in shares of it. density: texture shares per metre. material: number."""

    distance: np.ndarray
    normal: np.ndarray
    point: np.ndarray
    texels: np.ndarray
    density: np.ndarray
    material: np.ndarray


class Model:
    """One model, standing on y = 0, its middle above the origin; x right, y down, z ahead, metres.

    low, high: (3,) corners. Raises ModelsError where the file holds no mesh."""

    def __init__(self, path: str):
        points, normals, self.places, self.faces, self.owner, self.materials = _read(path)
        points = points * TO_ROOM
        low, high = points.min(0), points.max(0)
        origin = np.array([(low[0] + high[0]) / 2, high[1], (low[2] + high[2]) / 2])
        self.low, self.high = low - origin, high - origin
        self.points = np.ascontiguousarray(points - origin, dtype=np.float32)
        self.normals = normals * np.sign(TO_ROOM).astype(np.float32)
        corners, flat = self.points[self.faces], self.places[self.faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
        one, other = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
        painted = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
        self.density = np.sqrt(painted / np.maximum(area, 1e-12)).astype(np.float32)
        self._tree, self._mesh = _tree(self.points, self.faces)

    @property
    def size(self) -> np.ndarray:
        """Width, height and length in metres."""
        return self.high - self.low

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> Met:
        """Follow rays (..., 3) from an origin (3,), both in the axes of the model."""
        flat = np.ascontiguousarray(rays.reshape(-1, 3), dtype=np.float32)
        start = np.ascontiguousarray(np.broadcast_to(origin, flat.shape), dtype=np.float32)
        found = self._tree.run(start, flat, output=True)
        face, u, v = found['primID'], found['u'][:, None], found['v'][:, None]
        missed = face < 0
        face = np.where(missed, 0, face)
        corner = self.faces[face]
        shares = np.stack([1 - u - v, u, v], 1)
        normal = (self.normals[corner] * shares).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        normal *= -np.sign((normal * flat).sum(-1, keepdims=True))
        distance = np.where(missed, np.inf, found['tfar'])
        point = start + flat * np.where(missed, 0, distance)[:, None]
        met = (distance, normal, point, (self.places[corner] * shares).sum(1), self.density[face], self.owner[face])
        shape = rays.shape[:-1]
        return Met(*(array.reshape(*shape, *array.shape[1:]) for array in met))

    def top(self, x: float, z: float) -> float | None:
        """Height (y, negative) of the surface under a point above the model; None beside it."""
        met = self.meet(np.array([x, self.low[1] - 1, z]), np.array([[0.0, 1.0, 0.0]]))
        return float(met.point[0, 1]) if np.isfinite(met.distance[0]) else None


@cache
def models_in(folder: str) -> tuple[str, ...]:
    """OBJ files of a folder and of those below it, in order. Raises ModelsError where none can be used, or where the
    libraries are missing."""
    _libraries()
    found = tuple(sorted(str(path) for path in Path(folder).rglob('*.obj')))
    if not any(load_model(path) for path in found):
        raise ModelsError(f'{folder} has no models (.obj) of {SMALLEST_M} to {LARGEST_M} m that can be used')
    return found


@cache
def load_model(path: str) -> Model | None:
    """A model of a file; None where it is too small, too large or too fine to be used, or not readable."""
    try:
        model = Model(path)
    except (OSError, ValueError, IndexError, KeyError):
        return None
    return model if SMALLEST_M < model.size.max() < LARGEST_M else None


def _libraries():
    try:
        import trimesh
        from embreex import mesh_construction, rtcore_scene
    except ImportError as error:
        raise ModelsError(f"models need trimesh and embreex: pip install 'dfd_depth_ros[models]' ({error})") from error
    return trimesh, rtcore_scene.EmbreeScene, mesh_construction.TriangleMesh


def _read(path):
    scene = _libraries()[0].load(path, force='scene')
    meshes = [mesh for mesh in scene.geometry.values() if len(getattr(mesh, 'faces', ()))]
    if not meshes or sum(len(mesh.faces) for mesh in meshes) > FACES:
        raise ModelsError(f'{path} holds no mesh of 1 to {FACES} faces')
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)])
    points = np.concatenate([mesh.vertices for mesh in meshes])
    normals = np.concatenate([mesh.vertex_normals for mesh in meshes]).astype(np.float32)
    places = np.concatenate([_places(mesh) for mesh in meshes]).astype(np.float32)
    owner = np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes])
    return points, normals, places, faces, owner, [_material(mesh) for mesh in meshes]


def _places(mesh):
    places = getattr(mesh.visual, 'uv', None)
    return np.zeros((len(mesh.vertices), 2)) if places is None else np.nan_to_num(places)


def _material(mesh):
    material = getattr(mesh.visual, 'material', None)
    colour = np.asarray(getattr(material, 'diffuse', (150, 150, 150)), dtype=np.float32)[:3] / 255
    image = getattr(material, 'image', None)
    if image is None:
        return Material(colour, ())
    texture = np.asarray(image.convert('RGB'), dtype=np.float32)[::-1] / 255  # v runs upwards
    shrink = min(1.0, TEXTURE / max(texture.shape[:2]))
    pyramid = [cv2.resize(texture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA) if shrink < 1 else texture]
    while min(pyramid[-1].shape[:2]) > 1:
        height, width = pyramid[-1].shape[:2]
        pyramid.append(cv2.resize(pyramid[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return Material(colour, tuple(pyramid))


def _tree(points, faces):
    _, scene, mesh = _libraries()
    tree = scene()
    return tree, mesh(tree, points[faces])
