//! Charts of any numbers show all valid data.

use largebatch_plot::{Plot, PlotError, Scale};

fn everything() -> Plot {
    let axis: Vec<f64> = (0..=60).map(|i| f64::from(i) / 10.0 - 3.0).collect();
    let grid = axis
        .iter()
        .map(|y| axis.iter().map(|x| 0.5 * (x * x + 8.0 * y * y)).collect())
        .collect::<Vec<Vec<f64>>>();
    let path = (0..30).map(|t| (-2.5 * 0.9f64.powi(t), 1.2 * (-0.85f64).powi(t)));
    Plot::new("bowl", "A path on a surface")
        .x("w₁", Scale::Linear)
        .y("w₂", Scale::Linear)
        .height(300.0)
        .contour(axis.clone(), axis, grid, [0.5, 2.0, 5.0, 10.0, 20.0, 40.0])
        .line("gradient descent", path.clone())
        .points("gradient descent", path)
        .caption("f = (w₁² + 8 w₂²)/2.")
}

fn lines() -> Plot {
    let rates = [0.001, 0.01, 0.1, 1.0, 10.0];
    Plot::new("rates", "Loss against rate")
        .x("learning rate η", Scale::Log)
        .y("loss", Scale::Log)
        .points(
            "measured <b>",
            rates.map(|r| (r, if r > 2.0 { f64::INFINITY } else { 0.1 / r })),
        )
        .dashed("measured <b>", rates.map(|r| (r, 0.1 / r)))
        .band("interval", rates.map(|r| (r, 0.08 / r, 0.12 / r)))
        .line(
            "nothing above 0",
            [(0.1, -1.0), (1.0, 0.0), (f64::NAN, 1.0)],
        )
        .guide_x("2/L", 2.0)
        .guide_y("noise floor", 0.05)
        .caption("5 rates, seed 0.")
}

#[test]
fn a_chart_shows_what_it_was_given() {
    let svg = lines().figure().svg();
    for part in [
        "measured &lt;b&gt;",
        "2/L",
        "noise floor",
        "learning rate η",
        "5 rates, seed 0.",
        "stroke-dasharray=\"5 5\"",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    // Four of five rates have a loss, and the legend has one more mark. One label makes one entry.
    assert_eq!(svg.matches("class=\"mk ").count(), 5);
    assert_eq!(svg.matches(">measured &lt;b&gt;</text>").count(), 1);
    let svg = everything().figure().svg();
    assert!(svg.contains(">20</text>") && svg.matches("stroke-width:1.1").count() >= 6);
}

#[test]
fn charts_without_data_do_not_panic() {
    let empty = Plot::new("", "").figure();
    assert!(empty.svg().contains("no data"));
    let log = Plot::new("a", "b")
        .x("x", Scale::Log)
        .y("y", Scale::Log)
        .line("l", [(0.0, -1.0), (f64::NAN, f64::INFINITY)])
        .guide_x("g", -1.0);
    assert!(log.figure().svg().contains("no data"));
    let flat = Plot::new("a", "b")
        .contour([0.0], [], Vec::new(), [1.0, f64::NAN])
        .y_names(["one"])
        .height(f64::NAN)
        .points("", [(1.0, 0.0)]);
    assert!(flat.figure().svg().contains("one"));
}

#[test]
fn figures_are_written_by_their_files_ending() {
    let dir = tempfile::tempdir().unwrap();
    let (svg, png) = (
        dir.path().join("new/rates.svg"),
        dir.path().join("new/bowl.PNG"),
    );
    lines().figure().write(&svg).unwrap();
    everything().figure().write(&png).unwrap();
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    if let Some(keep) = std::env::var_os("PLOT_KEEP") {
        lines()
            .figure()
            .write(std::path::Path::new(&keep).join("rates.png"))
            .unwrap();
        everything()
            .figure()
            .write(std::path::Path::new(&keep).join("bowl.png"))
            .unwrap();
    }
    for wrong in ["rates", "rates.jpg"] {
        let error = lines().figure().write(dir.path().join(wrong)).unwrap_err();
        assert!(
            matches!(error, PlotError::Extension(_)) && error.to_string().contains(".svg or .png"),
            "{error}"
        );
    }
    assert!(matches!(
        lines().figure().write(svg.join("a.svg")),
        Err(PlotError::Io { .. })
    ));
}
