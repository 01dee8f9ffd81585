import java.time.Instant;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The kubelet of all pods that controllers make in a namespace: starts a sidecar for each new pod, says that the pod is Ready when its
 * labels are written, and on deletion ends first the sidecar, then the pod. The first pod leads: the others' sidecars wait for that.
 */
final class RollingNode implements AutoCloseable {

    /** No kubelet has this name. */
    static final String NAME = "test-node";

    private final HostileGroup group;
    private final RawWatch watch;
    private final Map<String, InProcessSidecar> sidecars = new ConcurrentHashMap<>();
    private final Set<String> ending = new HashSet<>();
    private volatile String first;
    private volatile Throwable failure;

    /** Begins to look after the pods that come from now on. */
    RollingNode(TestServer server, HostileGroup group) {
        this.group = group;
        String pods = "/api/v1/namespaces/" + group.group().namespace() + "/pods";
        this.watch = new RawWatch(server.client(), pods, group.group().podsVersion(), this::seen);
    }

    /** The pod that was there first. */
    String first() {
        return first;
    }

    /** What went wrong here; null if nothing did. */
    Throwable failure() {
        return failure;
    }

    private void seen(String type, Map<String, Object> pod) {
        String name = Json.text(pod, "metadata", "name");
        String uid = Json.text(pod, "metadata", "uid");
        if (type.equals("ADDED")) {
            group.witness().foreign(Long.parseLong(Json.text(pod, "metadata", "resourceVersion")));
            if (first == null) {
                first = name;
            }
            Instant created = Instant.parse(Json.text(pod, "metadata", "creationTimestamp"));
            inBackground(() -> begin(name, uid, created));
        } else if (type.equals("MODIFIED") && Json.text(pod, "metadata", "deletionTimestamp") != null && ending.add(uid)) {
            inBackground(() -> end(name, uid));
        }
    }

    /** No pod is Ready within the second of its creation, as on any node: which of two is newer is recorded in whole seconds. */
    private void begin(String name, String uid, Instant created) {
        if (!name.equals(first)) {
            group.group().await("the first pod leads", Group.SOON, () -> group.group().labels().containsValue("true")
                    || group.witness().movesSince(0).size() > 0);
        }
        group.startSidecar(name);
        sidecars.put(uid, group.sidecar(name));
        group.group().await(name + " has its labels", Group.SOON, () -> !"none".equals(group.group().labels().getOrDefault(name, "none")));
        group.group().await("the second after " + name + " was made", Group.SOON, () -> Instant.now().isAfter(created.plusSeconds(1)));
        group.group().setReady(name, true);
    }

    private void end(String name, String uid) {
        group.group().await("the sidecar of " + name + " was started", Group.SOON, () -> sidecars.containsKey(uid));
        group.stop(name, sidecars.get(uid)).exitCode(Group.SOON);
        group.group().removePod(name);
    }

    private void inBackground(Runnable action) {
        Thread.ofVirtual().name("kubelet").start(() -> {
            try {
                action.run();
            } catch (RuntimeException | Error e) {
                failure = e;
            }
        });
    }

    @Override
    public void close() {
        watch.close();
    }
}
