import static org.junit.jupiter.api.Assertions.assertFalse;

import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1Container;
import io.kubernetes.client.openapi.models.V1DeleteOptions;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.openapi.models.V1PodSpec;
import io.kubernetes.client.util.PatchUtils;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A {@link Group} whose sidecars run in this JVM, where the {@link Trace} sees each of their requests, and whose pods are on a node: the
 * test is the kubelet, says whether they are Ready, and ends them.
 */
final class LocalGroup implements GroupsOfTest.Checked {

    /** No kubelet has this name. */
    static final String NODE = "test-node";

    private final TestServer server;
    private final String election;
    private final List<String> flags;
    private final Group group;
    private final CoreV1Api core;
    private final Trace trace;
    private final Map<String, LocalSidecar> sidecars = new ConcurrentHashMap<>();
    private final List<LocalSidecar> all = new CopyOnWriteArrayList<>();

    /** No pod yet, and no sidecar; the flags are those of all sidecars, without {@code --election-name}. */
    LocalGroup(TestServer server, String namespace, String election, List<String> flags) {
        this.server = server;
        this.election = election;
        this.flags = flags;
        this.group = new Group(server, namespace, election, flags);
        this.core = new CoreV1Api(server.client());
        this.trace = new Trace(group.keys().leadership());
    }

    Group group() {
        return group;
    }

    Trace trace() {
        return trace;
    }

    Witness witness() {
        return group.witness();
    }

    // --- Sidecars ----------------------------------------------------------------------------------------------------

    /** The sidecar that was started last for this pod. */
    LocalSidecar sidecar(String pod) {
        return sidecars.get(pod);
    }

    /** Starts a sidecar for a pod: what a container's (re)start is. These flags come before those of the group. */
    LocalSidecar start(String pod, String... ownFlags) {
        Config config = TestConfig.config().election(election).pod(pod).namespace(group.namespace()).flags(flags).flags(List.of(ownFlags))
                .build();
        LocalSidecar sidecar = new LocalSidecar(server, config, trace);
        sidecars.put(pod, sidecar);
        all.add(sidecar);
        return sidecar;
    }

    /** Crashes the sidecar of a pod; its pod stays as it is. */
    void crash(String pod) {
        sidecar(pod).crash();
    }

    /** Creates the pods number {@code from} to {@code to - 1}, running and Ready, and starts their sidecars. */
    void start(int from, int to) {
        for (int i = from; i < to; i++) {
            createPod(election + "-" + i, true);
        }
        for (int i = from; i < to; i++) {
            start(election + "-" + i);
        }
    }

    // --- Pods --------------------------------------------------------------------------------------------------------

    /** Creates a running pod on a node. */
    void createPod(String name, boolean ready) {
        // The API server refuses the empty overhead that the class sets by itself.
        V1PodSpec spec = new V1PodSpec().overhead(null).nodeName(NODE).containers(List.of(new V1Container().name("app").image("app")));
        call("create pod " + name, () -> witness().foreign(
                core.createNamespacedPod(group.namespace(), new V1Pod().metadata(new V1ObjectMeta().name(name)).spec(spec)).execute()
                        .getMetadata()));
        setReady(name, ready);
    }

    /** Says whether a running pod is Ready; returns the version that says so. */
    long setReady(String pod, boolean ready) {
        return setStatus(pod, "Running", ready);
    }

    /** All containers of a pod have ended for good, with an error. */
    void fail(String pod) {
        setStatus(pod, "Failed", false);
    }

    private long setStatus(String pod, String phase, boolean ready) {
        String status = """
                {"status": {"phase": "%s", "conditions": [{"type": "Ready", "status": "%s"}]}}"""
                .formatted(phase, ready ? "True" : "False");
        return call("set status of pod " + pod, () -> witness().foreign(PatchUtils.patch(V1Pod.class,
                () -> core.patchNamespacedPodStatus(pod, group.namespace(), new V1Patch(status)).buildCall(null),
                V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, core.getApiClient()).getMetadata()));
    }

    /** Deletes a pod as people and controllers do: it gets its deletionTimestamp and stays until {@link #remove}. */
    void delete(String pod) {
        call("delete pod " + pod, () -> core.deleteNamespacedPod(pod, group.namespace()).execute());
    }

    /** Removes a pod at once, as a kubelet does when its containers have ended, or as a force deletion does. */
    void remove(String pod) {
        V1DeleteOptions now = new V1DeleteOptions().gracePeriodSeconds(0L);
        call("remove pod " + pod, () -> core.deleteNamespacedPod(pod, group.namespace()).body(now).execute());
    }

    /**
     * Who takes a free Lease first, by the pods as they are now: Ready before not Ready, newest first, then by name. The pods named are
     * left out; those that are being deleted, too.
     */
    List<String> ranking(String... without) {
        List<V1Pod> pods = call("list pods", () -> core.listNamespacedPod(group.namespace()).execute().getItems());
        return pods.stream().filter(pod -> pod.getMetadata().getDeletionTimestamp() == null)
                .sorted(Comparator.comparing(LocalGroup::isReady).reversed()
                        .thenComparing(pod -> pod.getMetadata().getCreationTimestamp(), Comparator.reverseOrder())
                        .thenComparing(pod -> pod.getMetadata().getName()))
                .map(pod -> pod.getMetadata().getName()).filter(name -> !List.of(without).contains(name)).toList();
    }

    /** Names of the pods that are Ready, not being deleted, and have this label. */
    List<String> readyPods(String label, String value) {
        List<V1Pod> pods = call("list pods", () -> core.listNamespacedPod(group.namespace()).labelSelector(label + "=" + value).execute()
                .getItems());
        return pods.stream().filter(pod -> isReady(pod) && pod.getMetadata().getDeletionTimestamp() == null)
                .map(pod -> pod.getMetadata().getName()).toList();
    }

    private static boolean isReady(V1Pod pod) {
        return pod.getStatus().getConditions() != null
                && pod.getStatus().getConditions().stream().anyMatch(c -> c.getType().equals("Ready") && c.getStatus().equals("True"));
    }

    /** The version of the namespace's pods as they are now, from which a watch may begin. */
    String version() {
        return call("list pods", () -> core.listNamespacedPod(group.namespace()).execute().getMetadata().getResourceVersion());
    }

    private interface ApiCall<T> {
        T execute() throws ApiException;
    }

    private static <T> T call(String what, ApiCall<T> call) {
        try {
            return call.execute();
        } catch (ApiException e) {
            throw new AssertionError(what + ": HTTP " + e.getCode() + " " + e.getResponseBody(), e);
        }
    }

    // --- What is seen of them ----------------------------------------------------------------------------------------

    /** Waits until another pod leads and is labelled, whatever else is still to be done; returns who. */
    String awaitLabelledOtherThan(String pod, Duration limit) {
        group.await("another pod than " + pod + " is labelled", limit, () -> group.labels().entrySet().stream()
                .anyMatch(label -> label.getValue().equals("true") && !label.getKey().equals(pod)));
        return group.labels().entrySet().stream().filter(label -> label.getValue().equals("true")).findFirst().orElseThrow().getKey();
    }

    /** Waits until half a second has passed in which nobody but the leader had anything to ask: whoever lost the election has settled. */
    void awaitIdle(String leader) {
        long[] since = {System.nanoTime()};
        long[] place = {0};
        group.await("nobody but " + leader + " asks for anything", Group.SOON, () -> {
            if (trace.allSince(place[0]).stream().anyMatch(entry -> !entry.pod.equals(leader))) {
                since[0] = System.nanoTime();
                place[0] = trace.now();
            }
            return System.nanoTime() - since[0] > Duration.ofMillis(500).toNanos();
        });
    }

    /** Waits for this many more renewals of the Lease by its holder. */
    void awaitRenewals(String holder, int count) {
        long since = witness().now();
        group.await(count + " renewals by " + holder, Group.SOON.plus(Group.SOON), () -> witness().leasesSince(since).stream()
                .filter(lease -> lease.holder().equals(holder)).count() >= count);
    }

    /** How the leadership label moved after a version: {@code web-0 off}, {@code web-1 on} and so on. */
    List<String> movesSince(long version) {
        witness().catchUp();
        return witness().movesSince(version).stream().map(Witness.Move::toString).toList();
    }

    /** Fails if the witness saw a rule broken, or if a sidecar broke. */
    @Override
    public void check() {
        group.check();
        all.forEach(sidecar -> assertFalse(sidecar.isBroken(), "a sidecar ended by an exception"));
    }

    /** Everything that people need to understand a failure. */
    @Override
    public String report() {
        return group.report() + "--- requests:\n" + trace.history();
    }

    /** Crashes all sidecars and ends the watches. */
    @Override
    public void close() {
        all.forEach(LocalSidecar::close);
        group.close();
    }
}
