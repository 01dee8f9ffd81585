import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What {@link InMemoryServer} tells kubectl about the kinds it serves. */
final class Discovery {

    private static final List<String> VERBS = List.of("create", "delete", "get", "list", "patch", "update", "watch");
    private static final Map<Resource, String> SHORT_NAMES = Map.of(Resource.PODS, "po", Resource.NAMESPACES, "ns", Resource.EVENTS, "ev");

    private Discovery() {
    }

    /** The document at that path; empty if there is none. */
    static Optional<Map<String, Object>> at(String path) {
        return switch (path) {
            case "/api" -> Optional.of(Map.of("kind", "APIVersions", "versions", List.of("v1")));
            case "/apis" -> Optional.of(Map.of("kind", "APIGroupList", "apiVersion", "v1",
                    "groups", List.of(group("coordination.k8s.io"))));
            case "/api/v1" -> Optional.of(resources("v1"));
            case "/apis/coordination.k8s.io/v1" -> Optional.of(resources("coordination.k8s.io/v1"));
            default -> Optional.empty();
        };
    }

    private static Map<String, Object> group(String name) {
        var version = Map.of("groupVersion", name + "/v1", "version", "v1");
        return Map.of("name", name, "versions", List.of(version), "preferredVersion", version);
    }

    private static Map<String, Object> resources(String apiVersion) {
        var resources = new ArrayList<Map<String, Object>>();
        Arrays.stream(Resource.values()).filter(resource -> resource.apiVersion.equals(apiVersion)).forEach(resource -> {
            boolean namespaced = resource != Resource.NAMESPACES;
            var shortNames = SHORT_NAMES.containsKey(resource) ? List.of(SHORT_NAMES.get(resource)) : List.of();
            resources.add(Map.of("name", resource.plural, "singularName", resource.kind.toLowerCase(), "kind", resource.kind,
                    "namespaced", namespaced, "verbs", VERBS, "shortNames", shortNames));
            if (resource.hasStatus()) {
                resources.add(Map.of("name", resource.plural + "/status", "singularName", "", "kind", resource.kind,
                        "namespaced", namespaced, "verbs", List.of("get", "patch", "update")));
            }
        });
        return Map.of("kind", "APIResourceList", "groupVersion", apiVersion, "resources", resources);
    }
}
