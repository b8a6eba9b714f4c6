"""The words of the world: the things that can be drawn, and their names in captions."""

PETS = ("cat", "dog", "rabbit", "duck")
OBJECTS = ("car", "boat", "robot", "teapot")
CLASSES = PETS + OBJECTS

COLOURS = {
    "red": (0.85, 0.16, 0.14),
    "orange": (0.96, 0.55, 0.12),
    "yellow": (0.97, 0.86, 0.22),
    "green": (0.20, 0.62, 0.25),
    "blue": (0.18, 0.36, 0.86),
    "purple": (0.55, 0.25, 0.70),
    "pink": (0.98, 0.58, 0.72),
    "white": (0.95, 0.95, 0.95),
}

# The patterns of the second colour on the first, and their words in a caption: "with white stripes".
MARKINGS = ("plain", "stripes", "spots", "lower_half", "band")
MARKING_WORDS = {"stripes": "stripes", "spots": "spots", "lower_half": "below", "band": "band"}

SCENES = {
    "beach": "on the beach",
    "meadow": "in the meadow",
    "snow": "in the snow",
    "desert": "in the desert",
    "night": "at night",
    "room": "in the room",
}

# The motions that the base model learns by name, and the words for each.
MOTIONS = {
    "still": "standing still",
    "right": "moving to the right",
    "left": "moving to the left",
    "jump": "jumping",
    "rise": "rising",
    "fall": "falling",
    "approach": "coming closer",
    "recede": "going away",
    "swing": "swinging",
    "circle": "circling",
}

# The base model also learns families of paths (free_motions). The words of a family do not tell the path.
DIRECTIONS = {"right": "to the right", "left": "to the left", "up": "up", "down": "down"}
FAMILIES = {
    "wander": "wandering",
    "weave": "weaving",
    "hop": "hopping",
    "orbit": "orbiting",
    "sway": "swaying",
}

PLACEHOLDER = "*"
