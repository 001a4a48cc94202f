//! A key of study files that had another name before 0.3: `stop.prune` was `stop.hopeless`.
//!
//! Parsing accepts both. Documents and paths are compared under the name of today.

use toml::{Table, Value};

const SECTION: &str = "stop";
const OLD: &str = "hopeless";
const NEW: &str = "prune";

/// Gives the key its name of today, in a study and its parts. With both names the document stays as
/// it is, and is refused when it is parsed.
pub(crate) fn document(study: &mut Table) {
    rename(study);
    for parts in ["arm", "when"] {
        study
            .get_mut(parts)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .filter_map(Value::as_table_mut)
            .for_each(rename);
    }
}

fn rename(part: &mut Table) {
    if let Some(stop) = part.get_mut(SECTION).and_then(Value::as_table_mut)
        && !stop.contains_key(NEW)
        && let Some(rule) = stop.remove(OLD)
    {
        stop.insert(NEW.into(), rule);
    }
}

/// The same for a path, such as `stop.hopeless.after` or `arm.0.stop.hopeless`.
pub(crate) fn path(path: &str) -> String {
    let mut keys: Vec<&str> = path.split('.').collect();
    let section = if matches!(keys[0], "arm" | "when") {
        2
    } else {
        0
    };
    if keys.get(section) == Some(&SECTION) && keys.get(section + 1) == Some(&OLD) {
        keys[section + 1] = NEW;
    }
    keys.join(".")
}

#[cfg(test)]
mod tests {
    use crate::file::Study;
    use crate::folder::begin;
    use crate::plan::Plan;
    use largebatch_store::seal_text;

    fn text(rule: &str) -> String {
        format!(
            "name = 'a'\nset.lr = 0.1\nbudget.steps = 9\nconfirm.seeds = 1\nstop.{rule}.after = 0.2\n[[arm]]\nname = 'b'\nstop.{rule} = {{ after = 0.5, loss_above = 2.0 }}\n[[when]]\nif.arm = 'b'\nstop.{rule}.after = 0.4\n"
        )
    }

    fn study(text: &str, overrides: &[&str]) -> Result<Study, String> {
        let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
        Study::parse(text, "file.toml", &overrides).map_err(|e| e.to_string())
    }

    fn ids(study: Study) -> Vec<String> {
        let plan = Plan::new(study, &|_| Ok(())).unwrap();
        (0..plan.groups.len())
            .flat_map(|group| plan.confirm_ids(group, &vec![None; plan.groups.len()]))
            .map(|id| id.0)
            .collect()
    }

    #[test]
    fn both_names_mean_the_same() {
        let (old, new) = (text("hopeless"), text("prune"));
        let here = study(&new, &[]).unwrap();
        let there = study(&old, &[]).unwrap();
        assert_eq!(here.stop, there.stop);
        assert_eq!(here.stop.prune.unwrap().after, 0.2);
        assert_eq!(here.resolved(), there.resolved());
        let planned = ids(here);
        assert!(!planned.is_empty());
        assert_eq!(planned, ids(there));
        // Overrides too, whichever name the file has.
        let changed = |text: &str, key: &str| {
            study(text, &[&format!("stop.{key}.after=0.3")])
                .unwrap()
                .resolved()
        };
        let wanted = changed(&new, "prune");
        assert_ne!(wanted, study(&new, &[]).unwrap().resolved());
        assert_eq!(changed(&new, "hopeless"), wanted);
        assert_eq!(changed(&old, "prune"), wanted);
        assert_eq!(changed(&old, "hopeless"), wanted);
        let whole = study(&new, &["stop={ hopeless = { after = 0.3 } }"]).unwrap();
        assert_eq!(whole.resolved(), wanted);
    }

    #[test]
    fn both_names_at_once_are_refused() {
        let both = "stop={ hopeless = { after = 0.3 }, prune = { after = 0.3 } }";
        let error = study(&text("prune"), &[both]).unwrap_err();
        assert!(
            error.contains("`hopeless` is the old name of `prune`"),
            "{error}"
        );
        let both = text("prune") + "stop.hopeless.after = 0.4\n";
        let error = study(&both, &[]).unwrap_err();
        assert!(
            error.contains("`hopeless` is the old name of `prune`"),
            "{error}"
        );
    }

    #[test]
    fn an_error_names_the_line_under_either_name() {
        for name in ["hopeless", "prune"] {
            for (right, wrong, line) in [("0.2", "1.2", 5), ("0.5", "1.5", 8), ("0.4", "1.4", 11)] {
                let error = study(&text(name).replace(right, wrong), &[]).unwrap_err();
                assert!(
                    error.starts_with(&format!("file.toml, line {line}: after = {wrong}")),
                    "{error}"
                );
            }
            let set = format!("stop.{name}.after=2");
            let error = study(&text("hopeless"), &[&set]).unwrap_err();
            assert!(
                error.starts_with(&format!("--set {set}: after = 2")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_folder_of_either_name_goes_on() {
        for (then, now) in [
            ("hopeless", "prune"),
            ("hopeless", "hopeless"),
            ("prune", "hopeless"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("study.toml"), seal_text(&text(then))).unwrap();
            begin(dir.path(), &study(&text(now), &[]).unwrap()).unwrap();
            let other = study(&text(now).replace("0.5", "0.6"), &[]).unwrap();
            let error = begin(dir.path(), &other).unwrap_err().to_string();
            assert!(
                error.contains("- arm.b.stop.prune.after = 0.5\n+ arm.b.stop.prune.after = 0.6"),
                "{error}"
            );
        }
    }
}
