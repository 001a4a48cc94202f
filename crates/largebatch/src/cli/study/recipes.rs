//! The built-in recipes.

use std::path::Path;

use anyhow::Result;
use largebatch_component::{backticked, suggestion};
pub(super) use largebatch_recipes::{RECIPES, Recipe};
use largebatch_study::{Study, StudyError};

/// Finds a recipe by name.
pub(super) fn named(name: &str) -> Result<&'static Recipe, StudyError> {
    RECIPES.iter().find(|r| r.name == name).ok_or_else(|| {
        let names = || RECIPES.iter().map(|r| r.name);
        StudyError::Argument(format!(
            "`{name}` is neither a recipe nor a file{} The recipes are {}",
            match suggestion(name, names()) {
                none if none.is_empty() => ".".into(),
                meant => meant,
            },
            backticked(names())
        ))
    })
}

/// The study from a recipe's name or a file, with overrides.
pub(super) fn study(what: &str, overrides: &[String]) -> Result<Study> {
    let path = Path::new(what);
    if path.extension().is_none() && path.components().count() == 1 {
        return Ok(Study::parse(
            named(what)?.text,
            &format!("recipe {what}"),
            overrides,
        )?);
    }
    Ok(Study::open(path, overrides)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_reads_and_is_found_by_its_name() {
        for recipe in RECIPES {
            let study = study(recipe.name, &[]).unwrap();
            assert_eq!(study.name, recipe.name);
            assert!(!study.about.is_empty());
        }
        let error = study("gpa", &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `gap`"), "{error}");
    }
}
