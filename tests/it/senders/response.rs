//! One answer, read to its end.

use reqwest::RequestBuilder;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl ApiResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The status and the code of an error.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.json()["code"].as_str().unwrap().to_owned(),
        )
    }

    /// The ids of a list.
    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text);
        let elements = self.json();
        elements
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["notificationId"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Result<ApiResponse, reqwest::Error> {
    let answer = request.send().await?;
    Ok(ApiResponse {
        status: answer.status().as_u16(),
        text: answer.text().await?,
    })
}
