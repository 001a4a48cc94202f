//! The built-in recipes.

use std::path::Path;

use anyhow::Result;
pub(super) use largebatch_recipes::{RECIPES, Recipe};
use largebatch_study::{Study, StudyError};
use largebatch_train::nearest;

/// Finds a recipe by name.
pub(super) fn named(name: &str) -> Result<&'static Recipe, StudyError> {
    RECIPES.iter().find(|r| r.name == name).ok_or_else(|| {
        let names: Vec<&str> = RECIPES.iter().map(|r| r.name).collect();
        let hint = nearest(name, names.iter().copied())
            .map_or(String::new(), |near| format!(" (did you mean '{near}'?)"));
        StudyError::Argument(format!(
            "{name} is neither a recipe nor a file{hint}; the recipes are {}",
            names.join(", ")
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
        assert!(error.contains("did you mean 'gap'"), "{error}");
    }
}
