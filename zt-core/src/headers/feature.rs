use std::{fmt, str::FromStr};

use super::{PermissionsError, error::shown};

macro_rules! features {
    ($($name:ident $text:literal;)*) => {
        /// A feature of the browser that a page and its frames may or may not use; the names are
        /// those of the header. These ship in at least one browser.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Feature {
            $(#[doc = concat!("`", $text, "`")] $name,)*
            /// Another one.
            Custom(FeatureName),
        }

        impl Feature {
            /// Every feature that has a name here.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As it stands in the header.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Custom(FeatureName(name)) => name,
                }
            }
        }
    };
}

features! {
    Accelerometer "accelerometer";
    AriaNotify "aria-notify";
    Autoplay "autoplay";
    Bluetooth "bluetooth";
    Camera "camera";
    CapturedSurfaceControl "captured-surface-control";
    ChUaHighEntropyValues "ch-ua-high-entropy-values";
    ClipboardRead "clipboard-read";
    ClipboardWrite "clipboard-write";
    ComputePressure "compute-pressure";
    CrossOriginIsolated "cross-origin-isolated";
    DeferredFetch "deferred-fetch";
    DeferredFetchMinimal "deferred-fetch-minimal";
    DisplayCapture "display-capture";
    EncryptedMedia "encrypted-media";
    Fullscreen "fullscreen";
    Gamepad "gamepad";
    Geolocation "geolocation";
    Gyroscope "gyroscope";
    Hid "hid";
    IdentityCredentialsGet "identity-credentials-get";
    IdleDetection "idle-detection";
    LanguageModel "language-model";
    LocalFonts "local-fonts";
    LocalNetwork "local-network";
    LocalNetworkAccess "local-network-access";
    LoopbackNetwork "loopback-network";
    Magnetometer "magnetometer";
    Microphone "microphone";
    Midi "midi";
    OnDeviceSpeechRecognition "on-device-speech-recognition";
    OtpCredentials "otp-credentials";
    Payment "payment";
    PictureInPicture "picture-in-picture";
    PrivateStateTokenIssuance "private-state-token-issuance";
    PrivateStateTokenRedemption "private-state-token-redemption";
    PublickeyCredentialsCreate "publickey-credentials-create";
    PublickeyCredentialsGet "publickey-credentials-get";
    ScreenWakeLock "screen-wake-lock";
    Serial "serial";
    StorageAccess "storage-access";
    Summarizer "summarizer";
    Unload "unload";
    Usb "usb";
    WebShare "web-share";
    WindowManagement "window-management";
    XrSpatialTracking "xr-spatial-tracking";
}

/// The checked name of a feature that [`Feature`] does not list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeatureName(Box<str>);

impl Feature {
    /// A feature by its name, whether it is listed or not.
    ///
    /// # Errors
    ///
    /// When it cannot be a name: lower-case letters, digits and hyphens, a letter first.
    pub fn custom(name: &str) -> Result<Self, PermissionsError> {
        if let Some(known) = Self::ALL.iter().find(|feature| feature.as_str() == name) {
            return Ok(known.clone());
        }
        let fine = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fine {
            return Err(PermissionsError::Feature(shown(name)));
        }
        Ok(Self::Custom(FeatureName(name.into())))
    }
}

impl FromStr for Feature {
    type Err = PermissionsError;

    fn from_str(name: &str) -> Result<Self, PermissionsError> {
        Self::custom(name)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
