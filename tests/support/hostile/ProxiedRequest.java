import com.google.gson.JsonParseException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A request of one sidecar, and what it is for in the life of a leader.
 *
 * @param client the process that sends it: a pod's sidecars, one after the other, are several
 * @param pod whose sidecar that is
 * @param target path and query
 * @param phase what it is for
 * @param object what a {@code Retry-After} is about: the Lease, the group, a pod by its name, or one of the two watches with its lists
 * @param acquireTime that the Lease in its body carries, null without one: it names a win
 * @param at when it arrived, or was sent where a client tells of it, by {@link System#nanoTime}
 */
record ProxiedRequest(String client, String pod, String method, String target, String body, RequestPhase phase, String object,
        String acquireTime, long at) {

    /** Header with the name of the thread that asks, which tells a watch's own LIST from the elector's. */
    static final String CALLER = "X-Caller";
    /** Threads of watches are named so. */
    static final String WATCH_THREAD = "watch of ";

    /**
     * Recognises a request.
     *
     * @param proxy through which it comes
     * @param caller name of the thread that asks, null if unknown
     */
    static ProxiedRequest of(FaultProxy proxy, String method, String target, String body, String caller) {
        List<String> path = Arrays.asList(target.split("\\?")[0].split("/"));
        int at = path.indexOf("namespaces") + 2;
        String resource = at > 1 && path.size() > at ? path.get(at) : "";
        String name = path.size() > at + 1 ? path.get(at + 1) : "";
        Map<String, Object> tree = tree(body);
        String acquireTime = Json.text(tree, "spec", "acquireTime");
        RequestPhase phase = switch (resource) {
            case "leases" -> leasePhase(method, target, name, tree, proxy.hasWon(acquireTime));
            case "pods" -> podPhase(method, target, name, name.equals(proxy.pod()), tree, proxy.keys());
            default -> RequestPhase.OTHER;
        };
        String object = caller != null && caller.startsWith(WATCH_THREAD) ? caller
                : switch (resource) {
                    case "leases" -> "the Lease";
                    case "pods" -> name.isEmpty() ? "the group" : name;
                    default -> String.join("/", path);
                };
        return new ProxiedRequest(proxy.client(), proxy.pod(), method, target, body, phase, object, acquireTime, System.nanoTime());
    }

    private static Map<String, Object> tree(String body) {
        try {
            return body.startsWith("{") ? Json.parse(body) : Map.of();
        } catch (JsonParseException notJson) {
            return Map.of();
        }
    }

    private static RequestPhase leasePhase(String method, String target, String name, Map<String, Object> lease, boolean won) {
        String holder = Json.text(lease, "spec", "holderIdentity");
        return switch (method) {
            case "PUT" -> holder == null || holder.isEmpty() ? RequestPhase.RELEASE : won ? RequestPhase.RENEW : RequestPhase.ACQUIRE;
            case "POST" -> RequestPhase.CREATE;
            default -> reading(target, name);
        };
    }

    private static RequestPhase podPhase(String method, String target, String name, boolean own, Map<String, Object> patch,
            Witness.Keys keys) {
        if (!method.equals("PATCH")) {
            return reading(target, name);
        }
        String epoch = Json.text(patch, "metadata", "annotations", keys.epoch());
        return !own ? RequestPhase.FENCE
                : "true".equals(Json.text(patch, "metadata", "labels", keys.leadership())) ? RequestPhase.PROMOTE
                : epoch != null && epoch.startsWith("0@") ? RequestPhase.SELF_FENCE : RequestPhase.FIRST_PATCH;
    }

    private static RequestPhase reading(String target, String name) {
        return target.contains("watch=true") ? RequestPhase.WATCH : name.isEmpty() ? RequestPhase.LIST : RequestPhase.GET;
    }

    boolean isWrite() {
        return List.of("PUT", "POST", "PATCH").contains(method);
    }

    @Override
    public String toString() {
        return client + " " + phase + " " + method + " " + target.replaceFirst(".*/namespaces/[^/]*/", "");
    }
}
