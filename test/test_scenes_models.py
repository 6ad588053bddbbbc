"""Furniture from disk: what is read of an OBJ file, and where rays meet it."""

import cv2
import numpy as np
import pytest

from dfd_depth_ros.scenes import models
from dfd_depth_ros.scenes.models import Model, ModelsError, load_model, models_in

pytest.importorskip('trimesh')
pytest.importorskip('embreex')

CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def write_box(path, size=(80, 60, 40), texture=None, colour=(0.2, 0.4, 0.6)):
    """A box of so many centimetres, not about the origin, each side painted with the whole texture."""
    lines = [f'mtllib {path.stem}.mtl', 'usemtl paint']
    lines += [f'v {3 + x * size[0]} {7 + y * size[1]} {-2 + z * size[2]}' for x, y, z in CORNERS]
    lines += ['vt 0 0', 'vt 1 0', 'vt 1 1', 'vt 0 1']
    lines += ['f ' + ' '.join(f'{corner + 1}/{place + 1}' for place, corner in enumerate(side)) for side in SIDES]
    path.write_text('\n'.join(lines) + '\n')
    material = [f'newmtl paint\nKd {" ".join(map(str, colour))}']
    if texture is not None:
        cv2.imwrite(str(path.with_suffix('.png')), texture[..., ::-1])
        material.append(f'map_Kd {path.stem}.png')
    path.with_suffix('.mtl').write_text('\n'.join(material) + '\n')
    return str(path)


def first_hit(model, origin, rays):
    """Readable twin of `Model.meet`: every ray against every triangle in float64 (Moeller and Trumbore 1997)."""
    one, two, three = np.moveaxis(model.points[model.faces].astype(float), 1, 0)
    nearest = np.full(len(rays), np.inf)
    for number, ray in enumerate(rays):
        normal = np.cross(ray, three - one)
        scale = ((two - one) * normal).sum(1)
        with np.errstate(divide='ignore', invalid='ignore'):
            u = ((origin - one) * normal).sum(1) / scale
            across = np.cross(origin - one, two - one)
            v, distance = across @ ray / scale, ((three - one) * across).sum(1) / scale
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
        nearest[number] = distance[hit].min() if hit.any() else np.inf
    return nearest


def test_a_model_stands_on_the_floor_in_metres(tmp_path):
    model = Model(write_box(tmp_path / 'box.obj'))
    assert np.allclose(model.low, (-0.4, -0.6, -0.2)) and np.allclose(model.high, (0.4, 0.0, 0.2))
    assert np.allclose(model.size, (0.8, 0.6, 0.4))
    assert len(model.faces) == 12 and np.allclose(model.materials[0].colour, (0.2, 0.4, 0.6), atol=0.003)
    assert model.materials[0].pyramid == ()


def test_rays_meet_it_where_every_triangle_says(tmp_path):
    model, rng = Model(write_box(tmp_path / 'box.obj')), np.random.default_rng(0)
    origin = np.array([0.3, -0.8, -1.5])
    rays = rng.normal(0, 0.4, (500, 3)) + (-0.2, 0.3, 1)
    met = model.meet(origin, rays.reshape(20, 25, 3))
    expected = first_hit(model, origin, rays)
    hit = np.isfinite(expected)
    assert 50 < hit.sum() < 450
    assert np.array_equal(np.isfinite(met.distance.ravel()), hit)
    assert np.allclose(met.distance.ravel()[hit], expected[hit], atol=1e-5)
    assert np.allclose(met.point.reshape(-1, 3)[hit], origin + rays[hit] * expected[hit, None], atol=1e-5)


def test_normals_look_at_the_viewer(tmp_path):
    model = Model(write_box(tmp_path / 'box.obj'))
    for side in (-1, 1):
        met = model.meet(np.array([0.05, -0.3, 2.0 * side]), np.array([[0.0, 0.0, -1.0 * side]]))
        assert met.distance[0] == pytest.approx(1.8, abs=1e-5)
        assert met.normal[0] @ (0, 0, side) > 0.3 and np.linalg.norm(met.normal[0]) == pytest.approx(1, abs=1e-5)


def test_textures_lie_where_the_file_says(tmp_path):
    picture = np.zeros((64, 32, 3), np.uint8)
    picture[:32, :, 0] = 255  # the upper half is red
    model = Model(write_box(tmp_path / 'box.obj', texture=picture))
    (material,) = model.materials
    assert [level.shape[:2] for level in material.pyramid] == [(64, 32), (32, 16), (16, 8), (8, 4), (4, 2), (2, 1)]
    met = model.meet(np.array([0.0, -5.0, 0.0]), np.array([[0.05, 1.0, 0.01]]))
    row = int(met.texels[0, 1] * 64)
    assert material.pyramid[0][row, 3, 0] == float(met.texels[0, 1] > 0.5)
    assert met.density[0] == pytest.approx(1 / np.sqrt(0.8 * 0.4), rel=1e-4)  # one texture over the top side


def test_large_textures_are_reduced(tmp_path):
    texture = np.full((40, 1500, 3), 200, np.uint8)
    (material,) = Model(write_box(tmp_path / 'box.obj', texture=texture)).materials
    assert material.pyramid[0].shape[1] == models.TEXTURE


def test_height_of_the_top(tmp_path):
    model = Model(write_box(tmp_path / 'box.obj'))
    assert model.top(0.31, -0.1) == pytest.approx(-0.6, abs=1e-5) and model.top(0.5, 0) is None


def test_folders_of_models(tmp_path):
    for name in ('b.obj', 'a.obj'):
        write_box(tmp_path / name)
    found = models_in(str(tmp_path))
    assert [path[-5:] for path in found] == ['a.obj', 'b.obj']
    assert load_model(found[0]) is load_model(found[0])


@pytest.mark.parametrize('size', [(1, 1, 1), (500, 60, 40)])
def test_what_cannot_be_used_is_left_alone(tmp_path, size):
    assert load_model(write_box(tmp_path / 'odd.obj', size)) is None
    (tmp_path / 'empty.obj').write_text('# nothing\n')
    (tmp_path / 'broken.obj').write_bytes(b'\x00\xffno model f 1 2 3')
    assert load_model(str(tmp_path / 'empty.obj')) is None and load_model(str(tmp_path / 'broken.obj')) is None
    with pytest.raises(ModelsError) as error:
        models_in(str(tmp_path))
    assert str(error.value) == f'{tmp_path} has no models (.obj) of 0.03 to 2.8 m that can be used'


def test_missing_libraries_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'trimesh', None)
    with pytest.raises(ModelsError, match=r"^models need trimesh and embreex: pip install 'dfd_depth_ros\[models\]'"):
        models_in(str(tmp_path / 'new'))
