use crate::{ComponentError, Facts, Kind};

/// Something that a [`Registry`] holds.
pub trait Component {
    /// What the component says about itself.
    fn facts(&self) -> &'static Facts;
}

/// An open table of the components of one kind, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Registry<E> {
    kind: Kind,
    entries: Vec<E>,
}

impl<E: Component> Registry<E> {
    /// An empty table.
    pub fn new(kind: Kind) -> Self {
        Registry {
            kind,
            entries: Vec::new(),
        }
    }

    /// The table with one more component. One of the same name is replaced, at its place.
    pub fn with(mut self, entry: E) -> Self {
        let name = entry.facts().name;
        match self.entries.iter_mut().find(|e| e.facts().name == name) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        self
    }

    /// The component of this name.
    ///
    /// # Errors
    /// [`ComponentError::UnknownName`] with the nearest name and all of them.
    pub fn named(&self, name: &str) -> Result<&E, ComponentError> {
        self.entries
            .iter()
            .find(|e| e.facts().name == name)
            .ok_or_else(|| ComponentError::UnknownName {
                kind: self.kind,
                name: name.into(),
                known: self.names().map(String::from).collect(),
            })
    }

    /// The names of all components.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|e| e.facts().name)
    }

    /// All components.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter()
    }
}
