use largebatch_plot::{Figure, Section};
use largebatch_study::Results;

use crate::analysis::Analysis;
use crate::context::{Context, PaperTable};
use crate::summary::Summary;
use crate::{figures, published};

/// A report: everything that is shown of a study's results, computed once.
pub struct Report<'a> {
    pub(crate) analysis: Analysis<'a>,
    pub(crate) context: &'a Context,
    pub(crate) summary: Summary,
    pub(crate) sections: Vec<Section>,
    pub(crate) papers: Vec<PaperTable>,
}

impl<'a> Report<'a> {
    /// Evaluates a study's results.
    pub fn new(results: &'a Results, context: &'a Context) -> Self {
        let analysis = Analysis::new(results);
        let mut sections = figures::sections(&analysis);
        sections.extend(context.probed.sections.iter().cloned());
        Report {
            summary: Summary::new(&analysis),
            sections,
            papers: published::tables(&analysis, &context.probed),
            context,
            analysis,
        }
    }

    /// Every chart for which the results have data.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|s| &s.figures)
    }

    /// Comparisons with the published results of the study's paper, for the recipes `keskar-f1`,
    /// `keskar-c1` and `hoffer-f1`; empty for other studies. If the dataset, model or optimizer
    /// differs from the paper's, the table has no rows and its note says so.
    pub fn papers(&self) -> &[PaperTable] {
        &self.papers
    }
}
