"""The pages, and the health check."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from .about import PROJECT, about


def hello(_request: HttpRequest) -> JsonResponse:
    """The home page."""
    return JsonResponse({"message": f"Hello from {PROJECT}", "version": about()["version"]})


def health_check(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Answer /healthz before anything else: `fab` asks each process by its host's own address."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return JsonResponse(about())
        return get_response(request)

    return middleware
