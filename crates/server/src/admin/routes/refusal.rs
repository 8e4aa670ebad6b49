//! How a call is refused, and the readers of bodies and queries that refuse so.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::super::ErrorView;
use crate::error::UseCaseError;

/// A refused call.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal {
            status,
            text: text.into(),
        }
    }

    pub(super) fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn internal(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl From<UseCaseError> for Refusal {
    fn from(error: UseCaseError) -> Refusal {
        let status = match &error {
            UseCaseError::Domain(_) | UseCaseError::Operator(_) => StatusCode::BAD_REQUEST,
            UseCaseError::Unavailable { .. }
            | UseCaseError::AnswersFull(_)
            | UseCaseError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            UseCaseError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // The operator is told the whole chain.
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Refusal { status, text }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorView { error: self.text })).into_response()
    }
}

/// A JSON body, refused in the form of all refusals.
pub(super) struct Ask<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Ask<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::from_request(request, state).await {
            Ok(Json(ask)) => Ok(Ask(ask)),
            Err(error) => Err(refused_body(&error)),
        }
    }
}

fn refused_body(error: &JsonRejection) -> Refusal {
    Refusal::new(error.status(), error.body_text())
}

/// A query, refused in the form of all refusals.
pub(super) struct Filter<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Filter<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(filter)) => Ok(Filter(filter)),
            Err(error) => Err(refused_query(&error)),
        }
    }
}

fn refused_query(error: &QueryRejection) -> Refusal {
    Refusal::new(error.status(), error.body_text())
}
