import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.fail;

import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.CoreV1Event;
import io.kubernetes.client.openapi.models.V1Container;
import io.kubernetes.client.openapi.models.V1DeleteOptions;
import io.kubernetes.client.openapi.models.V1Lease;
import io.kubernetes.client.openapi.models.V1LeaseSpec;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.openapi.models.V1PodList;
import io.kubernetes.client.openapi.models.V1PodSpec;
import io.kubernetes.client.util.PatchUtils;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * The pods of one election, {@code <election>-0}, {@code <election>-1} and so on, with their sidecars as processes, and the witness of all
 * that happens to them. Without kubelets the pods are objects, and the test is the kubelet.
 */
final class Group implements AutoCloseable {

    /** Timing for tests that wait for a lease to expire. */
    static final List<String> FAST = List.of("--lease-duration=3s", "--renew-deadline=2s", "--retry-period=500ms");
    /** Timing for tests in which no lease may expire, however slow the machine. */
    static final List<String> CALM = List.of("--lease-duration=15s", "--renew-deadline=10s", "--retry-period=2s");
    /** The lease-duration of {@link #FAST}. */
    static final Duration LEASE = Duration.ofSeconds(3);
    /** Longer than anything takes here that is not the start of JVMs: not a claim, but a deadline. */
    static final Duration SOON = Duration.ofSeconds(20);
    /** Longer than the start of a group takes, on a machine that has much else to do. */
    static final Duration START = Duration.ofSeconds(120);

    /** With {@code LEADER_LABELER_RIGHTS=deploy} all sidecars have the rights of deploy/rbac, otherwise an administrator's. */
    private static final boolean EXACT_RIGHTS = "deploy".equals(System.getenv("LEADER_LABELER_RIGHTS"));
    private static final String HOLD = "example.com/hold";

    private final TestServer server;
    private final String namespace;
    private final String election;
    private final SidecarProcess.Launcher launcher;
    private final String leaseName;
    private final List<String> arguments;
    private final Witness.Keys keys;
    private final long leaseSeconds;
    private final CoreV1Api core;
    private final CoordinationV1Api leases;
    private final ApiClient client;
    private final Witness witness;
    private final Map<String, SidecarProcess> sidecars = new TreeMap<>();
    private final List<SidecarProcess> all = new ArrayList<>();
    private final List<SidecarProcess> mayEnd = new ArrayList<>();
    private final Path kubeconfig;
    private final List<String> held = new ArrayList<>();

    /**
     * No pod yet, and no sidecar.
     *
     * @param flags of all sidecars, without {@code --election-name}
     */
    Group(TestServer server, String namespace, String election, List<String> flags) {
        this(server, namespace, election, flags, (kubeconfig, space, pod, arguments) -> {
            SidecarProcess.train(server.kubeconfig()); // which needs the right to see that its pod does not exist
            return SidecarProcess.start(kubeconfig, space, pod, arguments);
        });
    }

    /** The same with sidecars that another launcher starts. */
    Group(TestServer server, String namespace, String election, List<String> flags, SidecarProcess.Launcher launcher) {
        this.server = server;
        this.namespace = namespace;
        this.election = election;
        this.launcher = launcher;
        this.arguments = new ArrayList<>(List.of("--election-name=" + election, "--http-address=off"));
        this.arguments.addAll(flags);
        this.leaseName = flag("--lease-name", election);
        this.keys = new Witness.Keys(flag("--leadership-label", election + "/is-leader"),
                flag("--participation-label", election + "/participant"), election + "/epoch", election + "/deletion-cost");
        this.leaseSeconds = Config.duration("--lease-duration", flag("--lease-duration", "15s")).toSeconds();
        this.client = server.client();
        this.core = new CoreV1Api(client);
        this.leases = new CoordinationV1Api(client);
        this.kubeconfig = EXACT_RIGHTS && server instanceof RealServer real ? exactRights(real) : server.kubeconfig();
        this.witness = new Witness(server.client(), namespace, election, leaseName, keys, name -> name.startsWith(election + "-"));
    }

    private String flag(String name, String otherwise) {
        return arguments.stream().filter(argument -> argument.startsWith(name + "=")).map(argument -> argument.substring(name.length() + 1))
                .findFirst().orElse(otherwise);
    }

    /** The namespace of its pods and its Lease. */
    String namespace() {
        return namespace;
    }

    /** Who sees all that happens to it. */
    Witness witness() {
        return witness;
    }

    /** The keys that its sidecars write. */
    Witness.Keys keys() {
        return keys;
    }

    // --- Sidecars ----------------------------------------------------------------------------------------------------

    /** The sidecar that was started last for this pod. */
    SidecarProcess sidecar(String pod) {
        return sidecars.get(pod);
    }

    /** Starts a sidecar for a pod, after the end of the one before: what a container's (re)start is. */
    SidecarProcess startSidecar(String pod) {
        return startSidecar(pod, kubeconfig);
    }

    /** Those of deploy/rbac, which are written for the election web. */
    private Path exactRights(RealServer real) {
        try {
            real.apply(namespace, Files.readString(Path.of("deploy", "rbac", "rbac.yaml")).replace("[web]", "[" + leaseName + "]")
                    .replace("leader-labeler-web", "leader-labeler-" + election));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return real.kubeconfigFor(namespace, "leader-labeler-" + election);
    }

    /** The same with other rights. */
    SidecarProcess startSidecar(String pod, Path kubeconfig) {
        SidecarProcess sidecar = launcher.start(kubeconfig, namespace, pod, arguments.toArray(String[]::new));
        sidecars.put(pod, sidecar);
        all.add(sidecar);
        return sidecar;
    }

    /** SIGTERM to the sidecar of a pod, which is expected to end. */
    SidecarProcess term(String pod) {
        SidecarProcess sidecar = mayEnd(pod);
        sidecar.term();
        return sidecar;
    }

    /** SIGKILL to the sidecar of a pod; returns when it is gone. */
    void kill(String pod) {
        mayEnd(pod).kill();
    }

    private SidecarProcess mayEnd(String pod) {
        mayEnd.add(sidecar(pod));
        return sidecar(pod);
    }

    // --- Pods, by the test as their kubelet ----------------------------------------------------------------------------

    /** Creates the pods number 0 to {@code count - 1}, running and ready, and starts their sidecars, all at once. */
    void start(int count) {
        for (int i = 0; i < count; i++) {
            createPod(election + "-" + i);
        }
        for (int i = 0; i < count; i++) {
            startSidecar(election + "-" + i);
        }
    }

    /** Creates a pod that no scheduler takes, running and ready. */
    void createPod(String name) {
        createPod(name, null);
    }

    /** The same for a pod that runs as this service account, null for the namespace's default. */
    void createPod(String name, String serviceAccount) {
        // The API server refuses the empty overhead that the class sets by itself.
        V1PodSpec spec = new V1PodSpec().overhead(null).schedulerName("none").serviceAccountName(serviceAccount)
                .containers(List.of(new V1Container().name("app").image("app")));
        V1Pod pod = new V1Pod().metadata(new V1ObjectMeta().name(name)).spec(spec);
        try {
            witness.foreign(core.createNamespacedPod(namespace, pod).execute().getMetadata());
        } catch (ApiException e) {
            throw failure("create pod " + name, e);
        }
        setReady(name, true);
    }

    /** Says whether a running pod is Ready. */
    void setReady(String name, boolean ready) {
        String status = """
                {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "%s"}]}}""".formatted(ready ? "True" : "False");
        try {
            witness.foreign(PatchUtils.patch(V1Pod.class,
                    () -> core.patchNamespacedPodStatus(name, namespace, new V1Patch(status)).buildCall(null),
                    V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, client).getMetadata());
        } catch (ApiException e) {
            throw failure("set status of pod " + name, e);
        }
    }

    /** Removes a pod at once, as a kubelet does when its containers have ended. */
    void removePod(String name) {
        try {
            core.deleteNamespacedPod(name, namespace).body(new V1DeleteOptions().gracePeriodSeconds(0L)).execute();
        } catch (ApiException e) {
            throw failure("remove pod " + name, e);
        }
    }

    /** Names of the pods that are Ready, not being deleted, and have this label. */
    List<String> readyPods(String label, String value) {
        return pods(label + "=" + value).getItems().stream().filter(pod -> pod.getMetadata().getDeletionTimestamp() == null)
                .filter(pod -> Optional.ofNullable(pod.getStatus().getConditions()).orElse(List.of()).stream()
                        .anyMatch(condition -> condition.getType().equals("Ready") && condition.getStatus().equals("True")))
                .map(pod -> pod.getMetadata().getName()).toList();
    }

    /** The version of the namespace's pods as they are now, from which a watch may begin. */
    String podsVersion() {
        return pods(null).getMetadata().getResourceVersion();
    }

    private V1PodList pods(String selector) {
        try {
            return core.listNamespacedPod(namespace).labelSelector(selector).execute();
        } catch (ApiException e) {
            throw failure("list pods", e);
        }
    }

    /** Merges a JSON patch into a pod, as a person with kubectl would; returns the version that it made, when the witness has seen it. */
    long editPod(String name, String patch) {
        try {
            long version = witness.foreign(mergePatch(name, patch).getMetadata());
            Wait.until("the witness sees version " + version, SOON, () -> witness.hasSeenPods(version));
            return version;
        } catch (ApiException e) {
            throw failure("patch pod " + name, e);
        }
    }

    private V1Pod mergePatch(String name, String patch) throws ApiException {
        return PatchUtils.patch(V1Pod.class, () -> core.patchNamespacedPod(name, namespace, new V1Patch(patch)).buildCall(null),
                V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, client);
    }

    /** Sets a label of a pod, or removes it if the value is null; returns the version that it made. */
    long editLabel(String pod, String key, String value) {
        return editPod(pod, edit("labels", key, value));
    }

    /** Sets the epoch annotation of a pod, or removes it if the value is null; returns the version that it made. */
    long editEpoch(String pod, String value) {
        return editPod(pod, edit("annotations", keys.epoch(), value));
    }

    private static String edit(String map, String key, String value) {
        return "{\"metadata\": {\"%s\": {\"%s\": %s}}}".formatted(map, key, value == null ? "null" : "\"" + value + "\"");
    }

    /** Deletes a pod; it is gone at once, unless it is held. Its sidecar is expected to end. */
    void deletePod(String name) {
        mayEnd(name);
        try {
            core.deleteNamespacedPod(name, namespace).execute();
        } catch (ApiException e) {
            throw failure("delete pod " + name, e);
        }
    }

    /** A pod that is held stays when it is deleted, with a deletionTimestamp. */
    void hold(String name) {
        held.add(name);
        editPod(name, "{\"metadata\": {\"finalizers\": [\"" + HOLD + "\"]}}");
    }

    /** Ends {@link #hold}: a pod that was deleted meanwhile is gone. */
    void letGo(String name) {
        held.remove(name);
        editPod(name, "{\"metadata\": {\"finalizers\": null}}");
    }

    /** Deletes a pod that stays, with a deletionTimestamp, as one does whose containers still run. */
    void beginDeletion(String name) {
        hold(name);
        try {
            core.deleteNamespacedPod(name, namespace).execute();
        } catch (ApiException e) {
            throw failure("delete pod " + name, e);
        }
    }

    /** Replaces the Lease by what {@code edit} makes of it, again if a renewal comes between; returns when the witness has seen it. */
    void editLease(Consumer<V1LeaseSpec> edit) {
        changeLease(lease -> edit.accept(lease.getSpec()));
    }

    /** Annotates the Lease, and returns likewise. */
    void annotateLease(String key, String value) {
        changeLease(lease -> lease.getMetadata().putAnnotationsItem(key, value));
    }

    private void changeLease(Consumer<V1Lease> change) {
        while (true) {
            try {
                V1Lease lease = leases.readNamespacedLease(election, namespace).execute();
                change.accept(lease);
                long version = Long.parseLong(leases.replaceNamespacedLease(election, namespace, lease).execute().getMetadata()
                        .getResourceVersion());
                Wait.until("the witness sees version " + version, SOON, () -> witness.leases().getLast().version() >= version);
                return;
            } catch (ApiException e) {
                if (e.getCode() != 409) {
                    throw failure("edit lease", e);
                }
            }
        }
    }

    /** Deletes the Lease; returns when the witness has seen it. */
    void deleteLease() {
        long before = witness.now();
        try {
            leases.deleteNamespacedLease(election, namespace).execute();
        } catch (ApiException e) {
            throw failure("delete lease", e);
        }
        Wait.until("the witness sees the deletion", SOON, () -> witness.leasesSince(before).stream().anyMatch(Witness.LeaseRevision::gone));
    }

    /** What Kubernetes Events on the Lease say. */
    List<String> eventsOnLease() {
        try {
            String onLease = "involvedObject.kind=Lease,involvedObject.name=" + leaseName;
            return core.listNamespacedEvent(namespace).fieldSelector(onLease).execute().getItems().stream()
                    .map(CoreV1Event::getMessage).toList();
        } catch (ApiException e) {
            throw failure("list events", e);
        }
    }

    private static AssertionError failure(String what, ApiException e) {
        return new AssertionError(what + ": HTTP " + e.getCode() + " " + e.getResponseBody(), e);
    }

    // --- What is seen of them ------------------------------------------------------------------------------------------

    /** The leadership labels by pod, as last seen; a missing one is {@code "none"}. */
    Map<String, String> labels() {
        Map<String, String> labels = new LinkedHashMap<>();
        witness.pods().forEach((name, pod) -> labels.put(name, pod.leadership() == null ? "none" : pod.leadership()));
        return labels;
    }

    /** Waits until everything is as it should be, and returns who leads: see {@link #unsettled}. */
    String awaitLeader(Duration limit) {
        return awaitLeader("a leader is elected and all pods are labelled", limit, leader -> true);
    }

    /** Waits until another pod leads, and everything is as it should be. */
    String awaitLeaderOtherThan(String pod, Duration limit) {
        return awaitLeader("another pod than " + pod + " leads", limit, leader -> !leader.equals(pod));
    }

    private String awaitLeader(String what, Duration limit, Predicate<String> wanted) {
        AtomicReference<String> leader = new AtomicReference<>();
        await(what, limit, () -> {
            Optional<Witness.LeaseRevision> lease = witness.lease();
            leader.set(lease.map(Witness.LeaseRevision::holder).orElse(""));
            return unsettled(witness.pods(), lease).isEmpty() && wanted.test(leader.get());
        });
        return leader.get();
    }

    /** Waits until the Lease was renewed so often by this pod. */
    void awaitRenewals(String holder, int count) {
        long since = witness.now();
        await(count + " renewals by " + holder, SOON, () -> witness.leasesSince(since).stream()
                .filter(lease -> lease.holder().equals(holder)).count() >= count);
    }

    /** Any pod but this one. */
    String otherThan(String pod) {
        return witness.pods().keySet().stream().filter(name -> !name.equals(pod)).findFirst().orElseThrow();
    }

    /**
     * What is not as it should be, empty if nothing: the Lease is held by a pod of the group, with its claim and duration; that pod is
     * labelled {@code true} and all others {@code false}; all take part; and the epoch on all is the version by which the Lease was won.
     */
    Optional<String> unsettled() {
        return unsettled(witness.pods(), witness.lease());
    }

    private Optional<String> unsettled(Map<String, Witness.PodRevision> pods, Optional<Witness.LeaseRevision> lease) {
        if (pods.isEmpty() || lease.isEmpty() || !pods.containsKey(lease.get().holder())) {
            return Optional.of("no pod holds the Lease: " + lease);
        }
        String holder = lease.get().holder();
        String claim = lease.get().claim();
        if (claim == null || !claim.startsWith(holder + "/" + pods.get(holder).uid() + "/")) {
            return Optional.of("the claim on the Lease is " + claim);
        }
        if (!Long.valueOf(leaseSeconds).equals(lease.get().durationSeconds())) {
            return Optional.of("the recorded duration is " + lease.get().durationSeconds());
        }
        long version = witness.leases().stream().filter(revision -> claim.equals(revision.claim())).findFirst().orElseThrow().version();
        String epoch = Long.toString(version);
        return pods.values().stream().filter(pod -> !isRight(pod, holder, epoch)).findFirst()
                .map(pod -> pod.name() + " has leadership=" + pod.leadership() + " participation=" + pod.participation() + " epoch="
                        + pod.epoch() + " where " + holder + " leads with epoch " + epoch);
    }

    private static boolean isRight(Witness.PodRevision pod, String leader, String epoch) {
        String leadership = pod.name().equals(leader) ? "true" : "false";
        return leadership.equals(pod.leadership()) && "true".equals(pod.participation()) && epoch.equals(pod.epoch());
    }

    /** {@link Wait#until}, but a failure tells what is wrong with the group. */
    void await(String what, Duration limit, BooleanSupplier condition) {
        try {
            Wait.until(what, limit, condition);
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "; " + unsettled().orElse("nothing is wrong with the labels"), e);
        }
    }

    /**
     * Waits until everything is as it should be, and then {@code quiet} long, in which no sidecar may write to a pod; returns what sidecars
     * wrote to pods after {@code version} until then.
     */
    List<Witness.PodRevision> awaitQuiet(long version, Duration limit, Duration quiet) {
        awaitLeader(limit);
        long settled = witness.now();
        long since = System.nanoTime();
        List<Witness.PodRevision> writes = witness.writesSince(version);
        Wait.until(quiet + " are over", quiet.multipliedBy(2), () -> {
            assertEquals(List.of(), witness.writesSince(settled), "pod writes after everything was as it should be");
            return System.nanoTime() - since > quiet.toNanos();
        });
        return writes;
    }

    /** Fails if the witness saw a rule broken, if a sidecar ended that nobody told to, or if one showed a stack trace. */
    void check() {
        witness.catchUp();
        witness.check();
        for (SidecarProcess sidecar : all) {
            if (!sidecar.isAlive() && !mayEnd.contains(sidecar)) {
                fail("a sidecar ended by itself; its log:\n" + sidecar.log());
            }
            assertFalse(sidecar.log().contains("\n\tat "), "stack trace in a sidecar's log:\n" + sidecar.log());
        }
    }

    /** Everything that people need to understand a failure. */
    String report() {
        StringBuilder report = new StringBuilder("--- " + namespace + ", all revisions:\n").append(witness.history());
        try {
            report.append("\n--- events on the Lease: ").append(eventsOnLease()).append('\n');
        } catch (AssertionError noServer) {
            report.append("\n--- ").append(noServer.getMessage()).append('\n');
        }
        all.forEach(sidecar -> report.append("--- log of a sidecar:\n").append(sidecar.log()));
        return report.toString();
    }

    /** Kills all sidecars, ends the watches, and lets pods go that are held back from deletion: their namespace may have to follow. */
    @Override
    public void close() {
        all.forEach(SidecarProcess::close);
        witness.close();
        for (String pod : held) {
            try {
                mergePatch(pod, "{\"metadata\": {\"finalizers\": null}}");
            } catch (ApiException e) {
                throw failure("let go pod " + pod, e);
            }
        }
    }
}
