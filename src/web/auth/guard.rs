use std::sync::Arc;

use smol_str::SmolStr;

use crate::{
    limit::Charge,
    token::{InvalidValue, Rule, is_ability},
    web::Problem,
};

use super::{
    AuthRequest,
    context::{AuthContext, Step, Verdict, misused},
    request_info::RequestInfo,
};

#[cfg(any(feature = "axum", feature = "actix"))]
use super::context::with_context;

/// What a route asks of a caller beside what its handler asks: an ability that is known at run time or built from the
/// path, and what the caller is charged. It goes inside of the layer that authenticates; with axum it is a tower layer,
/// with actix a middleware.
///
/// ```
/// use keyfob::{limit::Charge, token::RateLimit, web::Guard};
/// use time::Duration;
///
/// // `GET /projects/42/builds` asks for `projects:42:read`.
/// let read = Guard::ability("projects:{id}:read")?;
///
/// // Of what a token may create in an hour, this takes five.
/// let hourly = Charge::new("create", RateLimit::new(100, Duration::HOUR)?)?;
/// let create = Guard::ability("projects:{id}:write")?.charge(hourly.cost(5)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Guard(Arc<Asked>);

#[derive(Clone, Debug)]
struct Asked {
    ability: Option<Template>,
    enforced: bool,
    charge: Option<Charge>,
}

/// An ability, of which some segments stand in the path.
#[derive(Clone, Debug)]
struct Template {
    text: SmolStr,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    Fixed(SmolStr),
    Parameter(SmolStr),
}

impl Guard {
    /// Asks for an ability, such as `servers:read`, or one that is built from the path, such as `projects:{id}:write`.
    ///
    /// What stands in the path for a parameter must be one segment of an ability; else there is no such thing, which is
    /// 404. A refusal shows the template.
    ///
    /// # Errors
    /// [`InvalidValue`] if the text is neither.
    pub fn ability(text: &str) -> Result<Self, InvalidValue> {
        let ability = Some(Template::new(text).ok_or_else(|| {
            let rule = "must be an ability, with {parameters} only for whole segments";
            Rule::from(format!("{rule}, and {text:?} is not")).broken_by("guard")
        })?);
        Ok(Self(Arc::new(Asked { ability, enforced: true, charge: None })))
    }

    /// Asks for no ability, and charges the caller.
    #[must_use]
    pub fn charging(charge: Charge) -> Self {
        Self(Arc::new(Asked { ability: None, enforced: true, charge: Some(charge) }))
    }

    /// Charges the caller as well, before its abilities are looked at: a token by its id, a session by its owner and
    /// actor. The limit that the layer charges is charged all
    /// the same; of two, the answer tells of this one. A request that one of them refuses is charged to none.
    ///
    /// One request is charged once by a guard, wherever its clones are mounted.
    #[must_use]
    pub fn charge(mut self, charge: Charge) -> Self {
        Arc::make_mut(&mut self.0).charge = Some(charge);
        self
    }

    /// Lets a caller pass that lacks the ability, and reports it as an [event](crate::Event::AbilityMissing).
    #[must_use]
    pub fn report_only(mut self) -> Self {
        Arc::make_mut(&mut self.0).enforced = false;
        self
    }

    /// Returns `true` if both are one guard, as clones are.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Judges a request that [`authenticate`](super::Authenticator::authenticate) has let in. A layer of a framework
    /// does this by itself.
    ///
    /// # Errors
    /// The [`Problem`] to answer with. If a limit refuses the request, everything that it was charged is given back.
    pub async fn check(&self, auth: AuthContext, mut request: AuthRequest<'_>) -> Verdict {
        let charged = auth.charged.clone();
        let verdict = match self.judge(auth.again(), &mut request) {
            Ok(step) => step.verdict().await,
            Err(problem) => Err(problem),
        };
        let Err(problem) = &verdict else { return verdict };
        auth.refused();
        if problem.is_by_limit() {
            for charged in charged.iter().flat_map(|it| it.and_before()) {
                charged.refund_at_once();
                charged.refund().await;
            }
        }
        verdict
    }

    /// Judges a request that was let in by a layer further out.
    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn step(&self, request: &mut impl RequestInfo) -> Step {
        let auth = with_context(request, |it| Ok(it.again()));
        let step = auth.and_then(|auth| self.judge(auth, request));
        match step.unwrap_or_else(|problem| Step::Now(Err(problem))) {
            Step::Now(verdict) => Step::Now(verdict.inspect_err(|_| {
                request.with_context(|auth| auth.map(AuthContext::refused));
            })),
            Step::Later(verdict) => {
                let left = request.with_context(|it| Some(it?.clone()));
                Step::Later(Box::pin(async move {
                    verdict.await.inspect_err(|_| left.iter().for_each(AuthContext::refused))
                }))
            }
        }
    }

    fn judge(&self, auth: AuthContext, request: &mut impl RequestInfo) -> Result<Step, Problem> {
        let Asked { ability, enforced, charge } = &*self.0;
        if let Some(template) = ability {
            auth.asked(request, || template.describe(*enforced));
        }
        if auth.caller.is_none() && !enforced {
            return Ok(Step::Now(Ok(auth)));
        }
        auth.required_caller()?;
        let charged = match charge {
            Some(charge) => {
                let authenticator = auth.authenticator.clone();
                authenticator.charge(auth, *charge, Some(self.clone()))
            }
            None => Step::Now(Ok(auth)),
        };
        Ok(match charged {
            Step::Now(verdict) => {
                Step::Now(verdict.and_then(|it| self.require(it, self.fill(request)?)))
            }
            Step::Later(verdict) => {
                // The request is elsewhere once that has waited.
                let (guard, filled) = (self.clone(), self.fill(request));
                Step::Later(Box::pin(async move { guard.require(verdict.await?, filled?) }))
            }
        })
    }

    /// The ability that this request asks for; see [`Template::fill`].
    fn fill(&self, request: &mut impl RequestInfo) -> Result<Option<String>, Problem> {
        self.0.ability.as_ref().map_or(Ok(None), |template| template.fill(request))
    }

    fn require(&self, auth: AuthContext, required: Option<String>) -> Verdict {
        let Asked { ability, enforced, .. } = &*self.0;
        if let Some(template) = ability {
            if required.is_none() && *enforced {
                return Err(auth.authenticator.not_found(auth.quota()));
            }
            let caller = auth.required_caller()?;
            if !required.is_some_and(|required| caller.can(&required)) {
                auth.lacking(caller, &[&template.text], *enforced)?;
            }
        }
        Ok(auth)
    }
}

fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Template {
    fn new(text: &str) -> Option<Self> {
        let segments = text.split(':').map(|segment| match segment.strip_prefix('{') {
            None => Some(Segment::Fixed(segment.into())),
            Some(name) => {
                let name = name.strip_suffix('}').filter(|name| is_parameter(name))?;
                Some(Segment::Parameter(name.into()))
            }
        });
        let segments = segments.collect::<Option<Vec<_>>>()?;
        let example = segments.iter().map(|segment| match segment {
            Segment::Fixed(text) => text.as_str(),
            Segment::Parameter(_) => "x",
        });
        let is_good = is_ability(&example.collect::<Vec<_>>().join(":"));
        is_good.then(|| Self { text: text.into(), segments })
    }

    /// The ability that this request asks for; `None` where the path has something else than a segment of one.
    fn fill(&self, request: &mut impl RequestInfo) -> Result<Option<String>, Problem> {
        let mut filled = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            filled.push(match segment {
                Segment::Fixed(text) => text.clone(),
                Segment::Parameter(name) => match request.parameter(name) {
                    Some(value) if value.contains(':') => return Ok(None),
                    Some(value) => value.into(),
                    None if request.route().is_none() => return Ok(None),
                    None => {
                        return Err(misused(
                            request,
                            "a guard names a parameter that its route does not have",
                        ));
                    }
                },
            });
        }
        let ability = filled.join(":");
        Ok(is_ability(&ability).then_some(ability))
    }

    fn describe(&self, enforced: bool) -> String {
        let mode = if enforced { "" } else { " (report only)" };
        format!("{}{mode}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_whole_segment() {
        for good in ["servers:read", "projects:{id}:write", "{kind}:{id}", "{id}"] {
            assert!(Guard::ability(good).is_ok(), "{good}");
        }
        for bad in ["", "a:*", "a:{}:b", "p{id}", "{id}s", "{id", "{a}{b}", "{a\"b}", "a::b", "a b"]
        {
            assert!(Guard::ability(bad).is_err(), "{bad}");
        }
    }
}
