"""An S3 bucket, read only: lists of objects by botocore, each request with a deadline.

Works with any store that knows ListObjectsV2. Ceph's, which is Hetzner's, does not know the
checksums that newer AWS clients add by themselves, so none are sent. Nothing of this machine's
own AWS configuration is used.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

from pgprovision.clients.deadline import call_with_timeout
from pgprovision.errors import ObjectStoreError
from pgprovision.object_listing import ObjectListing, StoredObject
from pgprovision.secret import Secret

CONNECT_SECONDS = 5
READ_SECONDS = 20  # between two pieces of an answer
REQUEST_SECONDS = 90.0  # one request with its retries
ATTEMPTS = 3
PAGE_SIZE = 1000  # objects in an answer, the most there are

_CAUSES = {
    "InvalidAccessKeyId": "the access key does not exist in the object store",
    "SignatureDoesNotMatch": "the secret access key is not the one that belongs to the access key",
    "AccessDenied": "the access key may not list this bucket",
    "NoSuchBucket": "there is no such bucket",
    "RequestTimeTooSkewed": "this machine's clock is too far from the store's",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
}


@dataclass(frozen=True)
class Bucket:
    """A bucket and the pair that may list it. `ca_file`: of a private authority."""

    endpoint: str
    port: int
    region: str
    name: str
    uri_style: Literal["host", "path"]
    key: Secret
    secret: Secret
    ca_file: Path | None = None

    @property
    def location(self) -> str:
        return f"{self.endpoint}:{self.port}/{self.name}"

    def reader(self) -> "BucketReader":
        return BucketReader(self)


class BucketReader:
    """One connection to the object store. `server_time`: the last reading of its clock."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._client: Any = None
        self.server_time: datetime | None = None
        self.requests = 0

    def list_level(self, prefix: str) -> ObjectListing:
        """What is directly below. Raises ObjectStoreError."""
        return _merged(self._pages(prefix, Delimiter="/"))

    def list_prefix(self, prefix: str) -> ObjectListing:
        """Everything below. Raises ObjectStoreError."""
        return _merged(self._pages(prefix))

    def list_first_page(self, prefix: str) -> ObjectListing:
        """The first PAGE objects below, by key. Raises ObjectStoreError."""
        return next(self._pages(prefix))

    def _pages(self, prefix: str, **extra: str) -> Iterator[ObjectListing]:
        token: dict[str, str] = {}
        while True:
            parameters = {"Bucket": self._bucket.name, "Prefix": prefix, "MaxKeys": PAGE_SIZE}
            answer = self._request({**parameters, **extra, **token})
            complete = not answer.get("IsTruncated")
            yield ObjectListing(
                tuple(map(_stored, answer.get("Contents", ()))),
                tuple(part["Prefix"] for part in answer.get("CommonPrefixes", ())),
                complete,
            )
            if complete:
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        self.requests += 1
        try:
            answer: Mapping[str, Any] = call_with_timeout(
                REQUEST_SECONDS, lambda: self._send(request)
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            what = f"{_CAUSES.get(code, 'the store refused to list the bucket')} ({code})"
            raise self._error(what) from None
        except (BotoCoreError, TimeoutError, OSError) as error:
            raise self._error(_reason(error)) from None
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        self.server_time = parsedate_to_datetime(date) if date else self.server_time
        return answer

    def _send(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._client is None:
            self._client = _client(self._bucket)
        answer: Mapping[str, Any] = self._client.list_objects_v2(**request)
        return answer

    def _error(self, what: str) -> ObjectStoreError:
        return ObjectStoreError(what, where=self._bucket.location)


def _stored(item: Mapping[str, Any]) -> StoredObject:
    return StoredObject(item["Key"], item["LastModified"].astimezone(UTC))


def _merged(pages: Iterator[ObjectListing]) -> ObjectListing:
    all_pages = list(pages)
    objects = tuple(stored for page in all_pages for stored in page.objects)
    return ObjectListing(objects, tuple(name for page in all_pages for name in page.folders))


def _client(bucket: Bucket) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    no_user_config = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    style = {"host": "virtual", "path": "path"}[bucket.uri_style]
    return Session(session_vars=no_user_config).create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=f"https://{bucket.endpoint}:{bucket.port}",
        aws_access_key_id=bucket.key.reveal().decode(),
        aws_secret_access_key=bucket.secret.reveal().decode(),
        verify=str(bucket.ca_file) if bucket.ca_file else True,
        config=Config(
            s3={"addressing_style": style},
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _reason(error: Exception) -> str:
    """In a few words, without addresses: the error's `where` has them."""
    from botocore.exceptions import ConnectionError, HTTPClientError, SSLError

    if isinstance(error, SSLError | ssl.SSLError):
        return "its certificate is not trusted: another server answers, or ca_file is missing"
    if isinstance(error, TimeoutError):
        return f"no answer within {REQUEST_SECONDS:.0f} s"
    if isinstance(error, ConnectionError | HTTPClientError | OSError):
        return f"the store does not answer ({type(error).__name__})"
    return f"the list could not be read ({type(error).__name__})"
