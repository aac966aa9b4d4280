"""What a front end is given."""

from __future__ import annotations

from dataclasses import dataclass

from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.library import ModelLibrary
from app.paths import Paths
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.conversations import ConversationService
from app.service.embeddings import EmbeddingService
from app.service.fit import FitService
from app.service.imports import ImportService
from app.service.model_profiles import ModelProfiles
from app.service.models import ModelManager
from app.service.refusals import Refusals
from app.service.server_control import ServerControl
from app.settings import SettingsStore

__all__ = ["Services"]


@dataclass(frozen=True, slots=True)
class Services:
    """Built and closed by `app.bootstrap`. Every member is owned by the service loop."""

    paths: Paths
    settings: SettingsStore
    library: ModelLibrary
    hub: Hub
    hub_access: HubAccess
    downloads: DownloadManager
    models: ModelManager
    profiles: ModelProfiles
    imports: ImportService
    fit: FitService
    chat: ChatService
    embeddings: EmbeddingService
    conversations: ConversationService
    activity: Activity
    api_keys: ApiKeys
    refusals: Refusals
    server: ServerControl
