//! Names of groups: they contain what differs, and no two groups of a study have the same name.

use largebatch_study::{Plan, Study, describe, title};

fn titles(text: &str) -> Vec<String> {
    let plan = Plan::new(
        Study::parse(
            &format!("name='x'\nset.lr=1\nconfirm.seeds=1\n{text}"),
            "x",
            &[],
        )
        .unwrap(),
        &|_| Ok(()),
    )
    .unwrap();
    let titles: Vec<String> = plan.groups.iter().map(|g| title(&g.labels)).collect();
    let mut different = titles.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), titles.len(), "{titles:?}");
    let mut described: Vec<String> = plan.groups.iter().map(|g| describe(&g.labels)).collect();
    described.sort();
    described.dedup();
    assert_eq!(described.len(), titles.len(), "{described:?}");
    titles
}

#[test]
fn names_hold_what_differs() {
    assert_eq!(
        titles(
            "axes.optimizer=['sgd', {name='momentum', momentum=0.5}, {name='momentum', momentum=0.99}, {name='lamb', preset='timm'}, {name='lamb', preset='nvlamb'}]"
        ),
        [
            "sgd",
            "momentum 0.5",
            "momentum 0.99",
            "lamb timm",
            "lamb nvlamb"
        ]
    );
    assert_eq!(
        titles(
            "axes.schedule=[{name='cosine'}, {name='cosine', warmup.epochs=5}, {name='cosine', warmup={epochs=5, start=0.1}}]"
        ),
        [
            "cosine",
            "cosine, warm-up 5 epochs",
            "cosine, warm-up 5 epochs, warm-up start 0.1"
        ]
    );
    assert_eq!(
        titles(
            "axes={model=['mlp', {name='mlp', widths=[64]}, {name='mlp', widths=[64, 32]}], batch_size=[8]}"
        ),
        [
            "mlp · batch 8",
            "mlp, widths [64] · batch 8",
            "mlp, widths [64, 32] · batch 8"
        ]
    );
    assert_eq!(
        titles(
            "axes.batch_schedule=[{name='double', every.epochs=2}, {name='double', every.epochs=3}, {name='double', every.steps=3}]"
        ),
        [
            "double, every 2 epochs",
            "double, every 3 epochs",
            "double, every 3 steps"
        ]
    );
    assert_eq!(
        titles(
            "axes.dataset=[{name='my', format='csv', train='a.csv'}, {name='my', format='csv', train='b.csv'}, {name='my', format='csv', train='b.csv', test=0.2}]"
        ),
        [
            "my, train a.csv",
            "my, train b.csv",
            "my, test 0.2, train b.csv"
        ]
    );
    // Numbers that differ only in later digits; a word and a number.
    assert_eq!(
        titles("axes.clip_norm=[0.1234567, 0.1234568]"),
        ["clip_norm 0.1234567", "clip_norm 0.1234568"]
    );
    assert_eq!(
        titles("axes.x=['0.5', 0.5, -2, 1e-9]"),
        ["\"0.5\"", "0.5", "x −2", "x 1e-9"]
    );
    // A text that equals another value's name.
    assert_eq!(
        titles("axes.o=['m 1', {name='m', preset=1}, {name='m', preset=2}]").len(),
        3
    );
    // Axes that some groups do not have.
    let arms = "[[arm]]\nname='a'\naxes.x=['p', 'q']\n[[arm]]\nname='a · p'";
    assert_eq!(titles(arms).len(), 3);
    let folded = "axes={model=['a', 'b'], teacher=['a', 'none']}\n[[when]]\nif.model='b'\nset.model='c'\n[[when]]\nif.teacher='none'\nset.teacher='d'";
    assert_eq!(titles(folded), ["a · a", "model a", "teacher a", ""]);
    // Values that are already distinct stay as they are.
    assert_eq!(
        titles("axes={batch_size=[64, 1e9], optimizer=[{name='lars', momentum=0.5}, 'sgd']}"),
        [
            "lars · batch 64",
            "sgd · batch 64",
            "lars · batch 1e9",
            "sgd · batch 1e9"
        ]
    );
}

/// Two values that conditions map to one, each with another setting, used to become one group, and
/// the second was lost.
#[test]
fn folded_values_that_differ_elsewhere_are_two_groups() {
    let text = "axes.a=[1, 2, 3]\n[[when]]\nif.a=[2, 3]\nset.b=5\n[[when]]\nif.a=3\nset.b=6\n[[when]]\nif.a=[2, 3]\nset.a=7";
    assert_eq!(titles(text), ["a 1", "b 5", "b 6"]);
    assert_eq!(
        titles("axes.a=[1, 2, 3]\n[[when]]\nif.a=[2, 3]\nset.a=7"),
        ["a 1", ""]
    );
}
