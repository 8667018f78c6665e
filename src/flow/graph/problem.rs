//! What can be wrong with a graph, found before anything starts and told all at once.

use std::error::Error;
use std::fmt;

/// One thing that is wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphProblem {
    /// Two inputs, stages or outputs have this name.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Nobody takes this flow.
    Untaken {
        /// The flow.
        flow: String,
    },
    /// This stage takes nothing.
    NoSource {
        /// The stage.
        stage: String,
    },
    /// This stage takes the same flow twice.
    TakenTwice {
        /// The stage.
        stage: String,
        /// The flow.
        flow: String,
    },
    /// This stage takes a flow of another graph.
    OtherGraph {
        /// The stage.
        stage: String,
        /// The flow.
        flow: String,
    },
    /// A stage was pinned, fused or given a policy that doesn't exist.
    UnknownStage {
        /// Its name.
        stage: String,
    },
    /// A stage was fused twice.
    FusedTwice {
        /// The stage.
        stage: String,
    },
    /// This has to be at least one.
    Zero {
        /// The setting.
        setting: &'static str,
    },
    /// There are more inputs, stages and outputs than ranks.
    TooManyNodes {
        /// How many a graph can have.
        limit: usize,
    },
}

impl fmt::Display for GraphProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName { name } => write!(f, "there are two inputs, stages or outputs named {name}"),
            Self::Untaken { flow } => {
                write!(f, "nobody takes {flow}: give it to a stage, a sink or an output")
            }
            Self::NoSource { stage } => write!(f, "{stage} takes nothing: give it at least one flow"),
            Self::TakenTwice { stage, flow } => write!(f, "{stage} takes {flow} twice"),
            Self::OtherGraph { stage, flow } => write!(f, "{stage} takes {flow}, which is of another graph"),
            Self::UnknownStage { stage } => write!(f, "there is no stage named {stage}"),
            Self::FusedTwice { stage } => write!(f, "{stage} is fused twice"),
            Self::Zero { setting } => write!(f, "the {setting} must be at least 1"),
            Self::TooManyNodes { limit } => {
                write!(f, "a graph can have {limit} inputs, stages and outputs at most")
            }
        }
    }
}

/// Everything that is wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// The problems; at least one.
    pub problems: Vec<GraphProblem>,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Error for GraphError {}
