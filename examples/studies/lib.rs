//! The studies that ship inside largebatch, as text. `largebatch study list` shows them. To add
//! one, write its file in this folder and add its name below.

/// The name and text of a study.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The name, which is also in the text.
    pub name: &'static str,
    /// The text of the study file.
    pub text: &'static str,
}

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        &[$(Recipe { name: $name, text: include_str!(concat!($name, ".toml")) }),*]
    };
}

/// All recipes; the first is the main experiment.
pub const RECIPES: &[Recipe] = recipes![
    "gap",
    "optimizers",
    "shallue",
    "goyal",
    "keskar-f1",
    "keskar-c1",
    "hoffer-f1",
    "lenet5-mnist",
    "noise-scale",
    "stable-rate"
];
