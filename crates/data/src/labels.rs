//! Labels, and the task that they pose.

/// What the labels are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// A class; the field is the number n of classes, which count from 0. A model with labels ±1
    /// takes class 1 as +1 and class 0 as −1.
    Classes(usize),
    /// A real number.
    Real,
}

/// The labels of a part, one per example.
#[derive(Clone, PartialEq, Debug)]
pub enum Labels {
    /// Classes, from 0.
    Classes(Vec<u32>),
    /// Real targets, as in the file.
    Targets(Vec<f64>),
}

impl Labels {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Labels::Classes(l) => l.len(),
            Labels::Targets(l) => l.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn select(&self, indices: &[u32]) -> Labels {
        match self {
            Labels::Classes(l) => Labels::Classes(indices.iter().map(|&i| l[i as usize]).collect()),
            Labels::Targets(l) => Labels::Targets(indices.iter().map(|&i| l[i as usize]).collect()),
        }
    }
}
