use super::landscape::{LANDSCAPES, Landscape};
use super::{Reference, Row, TOLERANCE_F32, TOLERANCE_F64, standard_trajectory};
use crate::trajectory::Run;
use crate::{DynOptimizerConfig, Named, OptimError, OptimizerConfig, Trajectory};
use burn::tensor::{DType, Device};
use largebatch_component::options;

/// Learning rates to try on a landscape, the likeliest first.
const RATES: [f64; 13] = [
    1e-3, 1e-2, 0.1, 3e-3, 3e-2, 0.3, 1e-4, 3e-4, 1.0, 3.0, 10.0, 30.0, 100.0,
];
const LANDSCAPE_STEPS: usize = 10_000;

/// What an optimizer's tests found wrong.
#[derive(Default)]
pub(super) struct Suite {
    pub failures: Vec<String>,
}

impl Suite {
    fn expect(&mut self, fine: bool, failure: impl FnOnce() -> String) {
        if !fine {
            self.failures.push(failure());
        }
    }

    pub fn facts<C: OptimizerConfig>(&mut self) {
        let facts = C::FACTS;
        for (what, text) in [
            ("name", facts.name),
            ("summary", facts.summary),
            ("formula", facts.formula),
            ("paper", facts.paper),
        ] {
            self.expect(!text.trim().is_empty(), || format!("its {what} is empty"));
        }
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        self.expect(facts.name.chars().all(word), || {
            format!(
                "its name `{}` may contain only a to z, 0 to 9 and -",
                facts.name
            )
        });
        match facts.presets.first() {
            None => self
                .failures
                .push("it has no preset; add one for its default".into()),
            Some(first) => self.expect(C::preset(first.0).as_ref() == Some(&C::default()), || {
                format!("its default is not its first preset, `{}`", first.0)
            }),
        }
        for preset in facts.presets {
            self.expect(!preset.1.trim().is_empty(), || {
                format!("preset `{}` has no summary", preset.0)
            });
            match C::preset(preset.0) {
                None => self.failures.push(format!(
                    "preset `{}` is listed, but `preset` returns nothing for it",
                    preset.0
                )),
                Some(recipe) => {
                    if let Err(e) = DynOptimizerConfig::check(&recipe) {
                        self.failures.push(format!(
                            "preset `{}` fails the optimizer's own check: {e}",
                            preset.0
                        ));
                    }
                }
            }
        }
        self.expect(C::preset("no such preset").is_none(), || {
            "`preset` accepts any name; return None for a name that is not listed".into()
        });
    }

    pub fn options<C: OptimizerConfig>(&mut self) {
        let mut all: Vec<(&str, C)> = vec![("the default", C::default())];
        all.extend(
            C::FACTS
                .presets
                .iter()
                .filter_map(|p| Some((p.0, C::preset(p.0)?))),
        );
        for (name, recipe) in all {
            let table = match toml::Table::try_from(&recipe) {
                Ok(table) => table,
                Err(e) => {
                    return self
                        .failures
                        .push(format!("{name} cannot be written as TOML: {e}"));
                }
            };
            let options = options(&recipe);
            for option in &options {
                self.expect(
                    !option.purpose.is_empty() && !option.range.is_empty(),
                    || format!("option `{}` has no doc line or no range", option.name),
                );
                self.expect(table.contains_key(&option.name), || {
                    format!("option `{}` is missing in the TOML of {name}; always serialize every option", option.name)
                });
            }
            for key in table.keys() {
                self.expect(options.iter().any(|option| option.name == *key), || {
                    format!("option `{key}` is missing in the type's schema")
                });
            }
            let back = toml::to_string(&recipe)
                .ok()
                .and_then(|text| toml::from_str::<C>(&text).ok());
            self.expect(back.as_ref() == Some(&recipe), || {
                format!("{name} changes when it is written to TOML and read back")
            });
            let mut mistyped = table;
            mistyped.insert("no_such_option".into(), 1.into());
            self.expect(mistyped.try_into::<C>().is_err(), || {
                "it accepts unknown keys; add #[serde(deny_unknown_fields)]".into()
            });
        }
        let empty = toml::Table::new().try_into::<C>();
        self.expect(empty.as_ref().ok() == Some(&C::default()), || {
            "an empty TOML does not give the default; add #[serde(default)]".into()
        });
    }

    pub fn references<C: OptimizerConfig>(&mut self, references: &[Reference]) -> Vec<Row> {
        self.expect(!references.is_empty(), || {
            "it has no reference; give one that does not come from its own code".into()
        });
        let mut rows: Vec<Row> = Vec::new();
        for reference in references {
            let mut variant = format!(
                "`{}`",
                reference
                    .preset
                    .as_deref()
                    .unwrap_or(C::FACTS.presets.first().map_or("", |p| p.0))
            );
            for (key, value) in &reference.options {
                variant += &format!(", {key} = {value}");
            }
            let deviation = |dtype| reference.deviation::<C>(dtype, &Device::flex());
            match (deviation(DType::F64), deviation(DType::F32)) {
                (Ok(in_f64), Ok(in_f32)) => {
                    let shown = format!("{variant} deviates from {}", reference.origin);
                    self.expect(in_f64 <= TOLERANCE_F64, || {
                        format!("{shown} by {in_f64:.1e} in f64 (allowed {TOLERANCE_F64:.0e})")
                    });
                    self.expect(in_f32 <= TOLERANCE_F32, || {
                        format!("{shown} by {in_f32:.1e} in f32 (allowed {TOLERANCE_F32:.0e})")
                    });
                    match rows
                        .iter_mut()
                        .find(|r| r.origin == reference.origin && r.variant == variant)
                    {
                        Some(row) => {
                            (row.f64, row.f32) = (row.f64.max(in_f64), row.f32.max(in_f32))
                        }
                        None => rows.push(Row {
                            origin: reference.origin.clone(),
                            variant,
                            f64: in_f64,
                            f32: in_f32,
                        }),
                    }
                }
                (Err(e), _) | (_, Err(e)) => self.failures.push(format!(
                    "{variant} cannot follow the reference of {}: {e}",
                    reference.origin
                )),
            }
        }
        rows
    }

    pub fn finite_and_resumed(&mut self, preset: &str, recipe: &impl OptimizerConfig) {
        let path = standard_trajectory();
        for dtype in [DType::F64, DType::F32] {
            if let Err(e) = self.one_resumed(preset, recipe, &path, dtype) {
                self.failures
                    .push(format!("preset `{preset}` in {dtype:?}: {e}"));
            }
        }
    }

    fn one_resumed(
        &mut self,
        preset: &str,
        recipe: &impl OptimizerConfig,
        path: &Trajectory,
        dtype: DType,
    ) -> Result<(), OptimError> {
        let device = Device::flex();
        let mut whole = Run::new(recipe, path, dtype, &device, false)?;
        let mut part: Option<Run> = None;
        for (t, &lr) in path.rates.iter().enumerate() {
            whole.step(lr, &path.gradients(t));
            if let Some(part) = &mut part {
                part.step(lr, &path.gradients(t));
            }
            let weights = whole.weights();
            for (p, w) in path.parameters.iter().zip(&weights) {
                if w.len() != p.init.len() || w.iter().any(|x| !x.is_finite()) {
                    self.failures.push(format!(
                        "preset `{preset}` in {dtype:?}: `{}` is not finite after step {t}",
                        p.name
                    ));
                    return Ok(());
                }
            }
            if t == path.rates.len() / 2 {
                // As after a restart: a new optimizer on the current weights, which loads the saved
                // state.
                let mut middle = path.clone();
                for (p, w) in middle.parameters.iter_mut().zip(weights) {
                    p.init = w;
                }
                let mut resumed = Run::new(recipe, &middle, dtype, &device, false)?;
                let saved = whole.driver.save();
                resumed.driver.load(&saved)?;
                self.expect(resumed.driver.save() == saved, || {
                    format!("preset `{preset}` in {dtype:?}: a state that was loaded saves to different bytes")
                });
                part = Some(resumed);
            }
        }
        let bits = |run: &Run| {
            run.weights()
                .into_iter()
                .flatten()
                .map(f64::to_bits)
                .collect::<Vec<_>>()
        };
        let same = part.is_some_and(|part| {
            bits(&part) == bits(&whole) && part.driver.save() == whole.driver.save()
        });
        self.expect(same, || {
            format!("preset `{preset}` in {dtype:?}: the resumed run ends with different bits")
        });
        Ok(())
    }

    pub fn converges(&mut self, preset: &str, recipe: &impl OptimizerConfig) {
        for landscape in &LANDSCAPES {
            let mut best = f64::INFINITY;
            for peak in RATES {
                match descend(recipe, landscape, peak) {
                    Ok(value) => best = best.min(value),
                    Err(e) => return self.failures.push(format!("preset `{preset}`: {e}")),
                }
                if best <= landscape.enough {
                    break;
                }
            }
            let Landscape { name, enough, .. } = landscape;
            self.expect(best <= *enough, || {
                format!(
                    "preset `{preset}` reaches {best:.1e} on {name}, not {enough:.0e}, in {LANDSCAPE_STEPS} steps at any of the learning rates {RATES:?}"
                )
            });
        }
    }
}

/// The final value; infinite if the run diverges. If the rule holds the norm of the weights, which
/// even a step of rate 0 then rescales, 0 if the gradient is parallel to the weights at last, that
/// is, if the value is stationary among weights of this norm. The learning rate falls to 0 as (1 − t/T)²,
/// because an optimizer that scales its step by ‖w‖ does not come to rest at a constant rate.
fn descend(
    recipe: &impl OptimizerConfig,
    landscape: &Landscape,
    peak: f64,
) -> Result<f64, OptimError> {
    let parameter = Named {
        name: "w".into(),
        shape: vec![1, 2],
        init: landscape.start.to_vec(),
        grads: vec![],
    };
    let path = Trajectory {
        rates: vec![],
        parameters: vec![parameter],
    };
    let mut run = Run::new(recipe, &path, DType::F64, &Device::flex(), false)?;
    let at = |w: Vec<Vec<f64>>| [w[0][0], w[0][1]];
    let mut still = Run::new(recipe, &path, DType::F64, &Device::flex(), false)?;
    still.step(0.0, &[&[0.0; 2]]);
    let ([x, y], [a, b]) = (at(still.weights()), landscape.start);
    let holds_norm = [x, y] != [a, b] && (x * b - y * a).abs() < 1e-9;
    for t in 0..LANDSCAPE_STEPS {
        let g = (landscape.gradient)(at(run.ahead()));
        if g.iter().any(|x| !x.is_finite() || x.abs() > 1e12) {
            return Ok(f64::INFINITY);
        }
        run.step(
            peak * (1.0 - t as f64 / LANDSCAPE_STEPS as f64).powi(2),
            &[&g],
        );
    }
    let w = at(run.weights());
    let [gx, gy] = (landscape.gradient)(w);
    let across = (gx * w[1] - gy * w[0]).abs() / (gx.hypot(gy) * w[0].hypot(w[1]));
    Ok(match holds_norm && across < 1e-3 {
        true => 0.0,
        false => (landscape.value)(w),
    })
}
