//! Health as JSON, for endpoints and files: what is nothing is left out.

use serde_json::{Map, Value, json};

use super::board::{BreakerHealth, ComponentHealth, Health, Stall};

impl Health {
    /// As JSON: `status` (that of the worst component), `live`, `ready`, `rollbacks`, and `components`; times in
    /// milliseconds.
    ///
    /// ```
    /// use varpin::engine::{Engine, Program};
    /// let program = Program::parse("context work\nstream S = R.context(work).emit(v: v)")?;
    /// let engine = Engine::builder(&program).build()?;
    /// let health: serde_json::Value = serde_json::from_str(&engine.health().to_json())?;
    /// assert_eq!(health["status"], "up");
    /// let work = &health["components"][0];
    /// assert_eq!((&work["context"], &work["activity"]), (&"work".into(), &"running".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_json(&self) -> String {
        let components: Vec<Value> = self.components.iter().map(component).collect();
        let Self { status, is_live, is_ready, rollbacks, .. } = self;
        json!({
            "status": status.name(), "live": is_live, "ready": is_ready, "rollbacks": rollbacks,
            "components": components,
        })
        .to_string()
    }
}

fn component(health: &ComponentHealth) -> Value {
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            out.insert(name.to_owned(), value);
        }
    };
    add(health.component.kind(), health.component.name().into());
    add("status", health.status.name().into());
    add("activity", health.activity.name().into());
    add("cpu", json!(health.cpu));
    add("restarts", health.restarts.into());
    add("failures", health.failures.into());
    add("last_failure", json!(health.last_failure));
    add("breaker", health.breaker.as_ref().map(breaker).into());
    add("stall", health.stall.as_ref().map(stall).into());
    Value::Object(out)
}

fn breaker(breaker: &BreakerHealth) -> Value {
    let BreakerHealth { state, opened, held, dead_lettered, dropped } = breaker;
    json!({"state": state.name(), "opened": opened, "held": held, "dead_lettered": dead_lettered, "dropped": dropped})
}

fn stall(stall: &Stall) -> Value {
    let Stall { stage, place, since } = stall;
    let mut out = json!({"stage": stage, "for_ms": since.as_secs_f64() * 1e3});
    if let Some(place) = place {
        out["place"] = place.as_str().into();
    }
    out
}
