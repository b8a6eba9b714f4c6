"""The dataset's twenty subjects: nine pets and eleven objects. The pocket base has seen none of them."""

from dreamvideo.pocket_world.sampling import Identity

SUBJECTS = {
    "cat": Identity("cat", "orange", "stripes", "white", (0.3, 0.6, 0.2)),
    "cat2": Identity("cat", "purple", "spots", "yellow", (-0.6, -0.2, 0.5)),
    "cat3": Identity("cat", "white", "lower_half", "pink", (0.8, 0.9, -0.4)),
    "dog": Identity("dog", "yellow", "spots", "red", (0.1, 0.7, 0.3)),
    "dog2": Identity("dog", "white", "band", "blue", (-0.5, 0.2, -0.6)),
    "dog3": Identity("dog", "red", "lower_half", "yellow", (0.7, -0.5, 0.6)),
    "rabbit": Identity("rabbit", "pink", "spots", "purple", (0.2, 0.8, 0.1)),
    "rabbit2": Identity("rabbit", "blue", "stripes", "white", (-0.4, -0.3, 0.7)),
    "duck": Identity("duck", "yellow", "band", "green", (0.5, 0.3, -0.2)),
    "racing_car": Identity("car", "red", "stripes", "white", (-0.5, 0.4, 0.8)),
    "van": Identity("car", "yellow", "lower_half", "blue", (0.9, 0.8, -0.5)),
    "toy_car": Identity("car", "green", "spots", "pink", (0.1, -0.6, 0.3)),
    "sail_boat": Identity("boat", "white", "stripes", "red", (0.4, 0.9, 0.2)),
    "fishing_boat": Identity("boat", "green", "lower_half", "orange", (0.9, -0.4, -0.7)),
    "toy_boat": Identity("boat", "purple", "spots", "yellow", (-0.6, 0.3, 0.5)),
    "guard_robot": Identity("robot", "blue", "band", "yellow", (0.6, 0.5, -0.3)),
    "kitchen_robot": Identity("robot", "orange", "lower_half", "purple", (-0.7, -0.2, 0.8)),
    "old_robot": Identity("robot", "green", "stripes", "white", (0.2, 0.9, 0.1)),
    "striped_teapot": Identity("teapot", "white", "stripes", "blue", (0.3, 0.4, 0.6)),
    "spotted_teapot": Identity("teapot", "red", "spots", "white", (-0.4, -0.7, 0.2)),
}

RESERVED = frozenset(identity.signature for identity in SUBJECTS.values())
