//! Open tables of components, by name.

use std::fmt::{self, Debug};
use std::sync::Arc;

use serde_json::{Value, json};
use toml::Table;

use crate::{ComponentError, Config, Facts, Kind, Opt, listed, read, schema};

/// One component of a [`Registry`]: what it says about itself, and how a table of options becomes a
/// `T`.
pub struct Entry<T, E = ComponentError> {
    kind: Kind,
    facts: Facts,
    schema: fn() -> Value,
    defaults: Defaults,
    configure: Configure<T, E>,
}

/// The options of a preset; without a name, the defaults.
type Defaults = Arc<dyn Fn(Option<&str>) -> Option<Table> + Send + Sync>;

/// The component with the second options over the first.
type Configure<T, E> = Arc<dyn Fn(Table, Table) -> Result<T, E> + Send + Sync>;

impl<T, E: From<ComponentError>> Entry<T, E> {
    /// The entry of a configuration type: `preset` gives the options of a preset or, for `None`, the
    /// defaults, as far as there are any; `make` checks what ranges do not say.
    pub fn new<C: Config>(
        kind: Kind,
        facts: Facts,
        preset: impl Fn(Option<&str>) -> Option<C> + Send + Sync + 'static,
        make: impl Fn(C) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        Entry {
            kind,
            facts,
            schema: schema::<C>,
            // A configuration that TOML cannot write fails its conformance test.
            defaults: Arc::new(move |name| {
                Some(Table::try_from(preset(name)?).unwrap_or_default())
            }),
            configure: Arc::new(move |base, given| make(read(kind, facts.name, base, given)?)),
        }
    }

    /// Name, summary, formula, paper, presets.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Every option of a preset with its value; without a preset, the defaults.
    ///
    /// # Errors
    /// [`ComponentError::UnknownPreset`].
    pub fn defaults(&self, preset: Option<&str>) -> Result<Table, ComponentError> {
        match (preset, (self.defaults)(preset)) {
            (_, Some(table)) => Ok(table),
            (None, None) => Ok(Table::new()),
            (Some(name), None) => Err(ComponentError::UnknownPreset {
                kind: self.kind,
                component: self.facts.name.into(),
                preset: name.into(),
                known: self.facts.presets.iter().map(|p| p.0.into()).collect(),
            }),
        }
    }

    /// The component with the defaults, or the options of the preset that the key `preset` names, and
    /// the given options over them.
    ///
    /// # Errors
    /// An unknown preset or option, a value of the wrong type or out of range, options that
    /// contradict each other.
    pub fn configure(&self, mut given: Table) -> Result<T, E> {
        let preset = match given.remove("preset") {
            None => None,
            Some(preset) if self.facts.presets.is_empty() => {
                given.insert("preset".into(), preset);
                None
            }
            Some(toml::Value::String(preset)) => Some(preset),
            Some(other) => {
                return Err(E::from(ComponentError::Type {
                    kind: self.kind,
                    component: self.facts.name.into(),
                    option: "preset".into(),
                    value: other.to_string(),
                    message: "a preset is a name in quotes".into(),
                }));
            }
        };
        (self.configure)(self.defaults(preset.as_deref())?, given)
    }

    /// The component with the options of a preset, and the given options over them.
    ///
    /// # Errors
    /// As [`Entry::configure`].
    pub fn preset(&self, preset: &str, mut given: Table) -> Result<T, E> {
        given.insert("preset".into(), preset.into());
        self.configure(given)
    }

    /// Its options, with their defaults.
    pub fn options(&self) -> Vec<Opt> {
        listed(&self.schema(), &self.defaults(None).unwrap_or_default())
    }

    /// The JSON Schema of its options.
    pub fn schema(&self) -> Value {
        (self.schema)()
    }
}

impl<T, E> Clone for Entry<T, E> {
    fn clone(&self) -> Self {
        Entry {
            defaults: Arc::clone(&self.defaults),
            configure: Arc::clone(&self.configure),
            ..*self
        }
    }
}

impl<T, E> Debug for Entry<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}

/// An open table of the components of one kind, in the order in which they were added.
#[must_use]
pub struct Registry<T, E = ComponentError> {
    kind: Kind,
    entries: Vec<Entry<T, E>>,
}

impl<T, E> Clone for Registry<T, E> {
    fn clone(&self) -> Self {
        Registry {
            kind: self.kind,
            entries: self.entries.clone(),
        }
    }
}

impl<T, E> Debug for Registry<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt(f)
    }
}

impl<T, E: From<ComponentError>> Registry<T, E> {
    /// An empty table.
    pub fn new(kind: Kind) -> Self {
        Registry {
            kind,
            entries: Vec::new(),
        }
    }

    /// The table with one more component. One of the same name is replaced, at its place.
    pub fn with(mut self, entry: Entry<T, E>) -> Self {
        let name = entry.facts.name;
        match self.entries.iter_mut().find(|e| e.facts.name == name) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        self
    }

    /// The component of this name.
    ///
    /// # Errors
    /// [`ComponentError::UnknownName`] with the nearest name and all of them.
    pub fn named(&self, name: &str) -> Result<&Entry<T, E>, ComponentError> {
        let entry = self.entries.iter().find(|e| e.facts.name == name);
        entry.ok_or_else(|| ComponentError::UnknownName {
            kind: self.kind,
            name: name.into(),
            known: self.entries.iter().flat_map(|e| e.facts.names()).collect(),
        })
    }

    /// The component of this name or alias. The options of an alias are in [`Facts::alias`].
    ///
    /// # Errors
    /// As [`Registry::named`].
    pub fn by_any_name(&self, name: &str) -> Result<&Entry<T, E>, ComponentError> {
        let mut entries = self.entries.iter();
        match entries.find(|e| e.facts.aliases.iter().any(|(alias, _)| *alias == name)) {
            Some(entry) => Ok(entry),
            None => self.named(name),
        }
    }

    /// The component of this name or alias, with these options beside those of the alias.
    ///
    /// # Errors
    /// As [`Registry::named`] and [`Entry::configure`]; an option that the alias sets to another value.
    pub fn configure(&self, name: &str, given: Table) -> Result<T, E> {
        let entry = self.by_any_name(name)?;
        let mut options = entry.facts.alias(name);
        for (option, value) in given {
            if let Some(set) = options.get(&option).filter(|set| **set != value) {
                let main = entry.facts.name;
                return Err(E::from(ComponentError::Type {
                    kind: self.kind,
                    component: name.into(),
                    message: format!("the name sets it to {set}; use `{main}`"),
                    value: value.to_string(),
                    option,
                }));
            }
            options.insert(option, value);
        }
        entry.configure(options)
    }

    /// The names of all components.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|e| e.facts.name)
    }

    /// All components.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T, E>> {
        self.entries.iter()
    }

    /// The JSON Schema of a key that takes a name, or a table with a name and options.
    pub fn schema(&self) -> Value {
        let (mut names, mut tables) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            let (facts, mut schema) = (entry.facts, entry.schema());
            let own: Vec<String> = facts.names().collect();
            schema["description"] = facts.summary.into();
            schema["properties"]["name"] = match &own[..] {
                [name] => json!({ "const": name }),
                _ => json!({ "enum": own }),
            };
            if !facts.presets.is_empty() {
                let presets: Vec<&str> = facts.presets.iter().map(|p| p.0).collect();
                schema["properties"]["preset"] = json!({ "enum": presets });
            }
            let mut required = schema["required"].take();
            match required.as_array_mut() {
                Some(keys) => keys.push("name".into()),
                None => required = json!(["name"]),
            }
            schema["required"] = required;
            names.extend(own);
            tables.push(schema);
        }
        let mut all = vec![json!({ "enum": names })];
        all.append(&mut tables);
        json!({ "anyOf": all })
    }
}
