import static org.junit.jupiter.api.Assertions.fail;

import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Pod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Sees every revision of one group's pods and Lease by raw watches, keeps them, and judges them: never two pods labelled {@code true} by
 * sidecars (design, I1), and no pod write that touches anything but our keys (I7).
 *
 * <p>What the test itself writes has to be noted by {@link #foreign}: a {@code true} that it forged is nobody's fault, and its writes are
 * not counted.
 */
final class Witness implements AutoCloseable {

    /** The keys that the sidecars of one election write; {@code cost} is the annotation that says which deletion cost is theirs. */
    record Keys(String leadership, String participation, String epoch, String cost) {}

    /**
     * One revision of a pod.
     *
     * @param at when it was received, by {@link System#nanoTime}
     * @param gone whether this is its deletion
     * @param leadership value of its leadership label, null where the key is missing; so for {@code participation} and {@code epoch}
     * @param rest the object without our keys and without what the server changes at every write
     */
    record PodRevision(String name, String uid, long version, long at, boolean gone, String leadership, String participation, String epoch,
            Map<String, Object> rest) {

        /** Whether a Service would select the pod. */
        boolean isLabelled() {
            return !gone && "true".equals(leadership);
        }
    }

    /** One revision of the Lease; {@code holder} is empty if nobody holds it, {@code claim} is what our annotation says of its win. */
    record LeaseRevision(long version, long at, boolean gone, String holder, Long durationSeconds, String acquireTime, String claim) {}

    /** The leadership label of a pod went {@code on} or off by the revision at {@code index} among all pod revisions. */
    record Move(String pod, boolean on, int index, long at) {

        @Override
        public String toString() {
            return pod + (on ? " on" : " off");
        }
    }

    private static final Duration CATCH_UP_LIMIT = Duration.ofSeconds(10);

    private final Keys keys;
    private final String claimKey;
    private final String namespace;
    private final CoreV1Api core;
    private final Predicate<String> group;
    private final String leaseName;
    private final List<PodRevision> pods = new ArrayList<>();
    private final List<LeaseRevision> leases = new ArrayList<>();
    private final Set<Long> foreign = new HashSet<>();
    private final Map<String, String> deletions = new HashMap<>();
    private final RawWatch podWatch;
    private final RawWatch leaseWatch;

    /**
     * Begins to watch a namespace as it is now; what is there already is not seen.
     *
     * @param client gets long read timeouts; not to be shared
     * @param election name of the election and of its Lease
     * @param group which pods, by name, belong to it
     */
    Witness(ApiClient client, String namespace, String election, Keys keys, Predicate<String> group) {
        this(client, namespace, election, election, keys, group);
    }

    /** The same where the Lease has another name than the election. */
    Witness(ApiClient client, String namespace, String election, String leaseName, Keys keys, Predicate<String> group) {
        this.keys = keys;
        this.claimKey = election + "/holder";
        this.namespace = namespace;
        this.core = new CoreV1Api(client);
        this.group = group;
        this.leaseName = leaseName;
        try {
            String podsFrom = core.listNamespacedPod(namespace).execute().getMetadata().getResourceVersion();
            String leasesFrom = new CoordinationV1Api(client).listNamespacedLease(namespace).execute().getMetadata().getResourceVersion();
            String leasePath = "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases";
            podWatch = new RawWatch(client, "/api/v1/namespaces/" + namespace + "/pods", podsFrom, this::podSeen);
            leaseWatch = new RawWatch(client, leasePath, leasesFrom, this::leaseSeen);
        } catch (ApiException e) {
            throw new AssertionError("HTTP " + e.getCode() + " " + e.getResponseBody(), e);
        }
    }

    private synchronized void podSeen(String type, Map<String, Object> pod) {
        String name = Json.text(pod, "metadata", "name");
        if (!group.test(name)) {
            return;
        }
        pods.add(new PodRevision(name, Json.text(pod, "metadata", "uid"), version(pod), System.nanoTime(), type.equals("DELETED"),
                Json.text(pod, "metadata", "labels", keys.leadership()), Json.text(pod, "metadata", "labels", keys.participation()),
                Json.text(pod, "metadata", "annotations", keys.epoch()), withoutOurs(pod)));
        String end = Json.at(pod, "metadata", "deletionTimestamp") + " " + Json.at(pod, "metadata", "deletionGracePeriodSeconds");
        if (!end.startsWith("null") && !end.equals(deletions.put(Json.text(pod, "metadata", "uid"), end))) {
            foreign.add(version(pod)); // a deletion first writes the deletionTimestamp, or a new one, and no answer tells that version
        }
    }

    private static long version(Map<String, Object> object) {
        return Long.parseLong(Json.text(object, "metadata", "resourceVersion"));
    }

    private Map<String, Object> withoutOurs(Map<String, Object> pod) {
        Map<String, Object> labels = new TreeMap<>(Json.object(pod, "metadata", "labels"));
        labels.keySet().removeAll(List.of(keys.leadership(), keys.participation()));
        Map<String, Object> annotations = new TreeMap<>(Json.object(pod, "metadata", "annotations"));
        annotations.remove(keys.epoch());
        Object cost = annotations.remove(keys.cost());
        if (cost != null) {
            annotations.remove("controller.kubernetes.io/pod-deletion-cost", cost);
        }
        Map<String, Object> metadata = new TreeMap<>(Json.object(pod, "metadata"));
        metadata.keySet().removeAll(List.of("resourceVersion", "managedFields"));
        metadata.put("labels", labels);
        metadata.put("annotations", annotations);
        return Json.with(pod, "metadata", metadata);
    }

    private synchronized void leaseSeen(String type, Map<String, Object> lease) {
        if (leaseName.equals(Json.text(lease, "metadata", "name"))) {
            leases.add(new LeaseRevision(version(lease), System.nanoTime(), type.equals("DELETED"),
                    Objects.requireNonNullElse(Json.text(lease, "spec", "holderIdentity"), ""),
                    Json.at(lease, "spec", "leaseDurationSeconds") instanceof Long seconds ? seconds : null,
                    Json.text(lease, "spec", "acquireTime"), withoutRenewal(Json.text(lease, "metadata", "annotations", claimKey))));
        }
    }

    /** What the renewals of one win have in common: pod, uid and acquireTime; null without a claim. */
    private static String withoutRenewal(String claim) {
        return claim == null ? null : claim.replaceFirst("^([^/]*/[^/]*/[^/]*)/[^/]*$", "$1");
    }

    /** Notes a pod revision as written by the test; returns its version. */
    long foreign(V1ObjectMeta written) {
        return foreign(Long.parseLong(written.getResourceVersion()));
    }

    /** Notes a pod revision by its version as written by the test, or by a controller of the test's; returns the version. */
    synchronized long foreign(long version) {
        foreign.add(version);
        return version;
    }

    // --- What was seen -----------------------------------------------------------------------------------------------

    /** The present pods by name, as far as they were seen. */
    synchronized Map<String, PodRevision> pods() {
        Map<String, PodRevision> present = new TreeMap<>();
        pods.forEach(revision -> present.put(revision.name(), revision));
        present.values().removeIf(PodRevision::gone);
        return present;
    }

    /** The present Lease, as far as it was seen. */
    synchronized Optional<LeaseRevision> lease() {
        return leases.isEmpty() || leases.getLast().gone() ? Optional.empty() : Optional.of(leases.getLast());
    }

    /** Version of the newest pod or Lease revision seen: what comes later is "since" it. */
    synchronized long now() {
        return Math.max(pods.isEmpty() ? 0 : pods.getLast().version(), leases.isEmpty() ? 0 : leases.getLast().version());
    }

    /** Whether the pods of this version or a later one were seen. */
    synchronized boolean hasSeenPods(long version) {
        return !pods.isEmpty() && pods.getLast().version() >= version;
    }

    /** Revisions of the Lease after a version. */
    synchronized List<LeaseRevision> leasesSince(long version) {
        return leases.stream().filter(lease -> lease.version() > version).toList();
    }

    /** All revisions of the Lease. */
    List<LeaseRevision> leases() {
        return leasesSince(0);
    }

    /** What sidecars wrote to pods after a version. */
    synchronized List<PodRevision> writesSince(long version) {
        return pods.stream().filter(pod -> pod.version() > version && isWrite(pod)).toList();
    }

    private boolean isWrite(PodRevision revision) {
        return !revision.gone() && !foreign.contains(revision.version());
    }

    /** How the leadership label moved after a version, whoever moved it. */
    synchronized List<Move> movesSince(long version) {
        List<Move> moves = new ArrayList<>();
        Map<String, Boolean> before = new HashMap<>();
        for (int i = 0; i < pods.size(); i++) {
            PodRevision pod = pods.get(i);
            boolean was = Boolean.TRUE.equals(before.put(pod.name(), pod.isLabelled()));
            if (was != pod.isLabelled() && pod.version() > version) {
                moves.add(new Move(pod.name(), pod.isLabelled(), i, pod.at()));
            }
        }
        return moves;
    }

    /** All that was seen, one line per revision in the order of the server, for people. */
    synchronized String history() {
        long origin = pods.isEmpty() ? 0 : pods.getFirst().at();
        Map<Long, String> lines = new TreeMap<>();
        pods.forEach(p -> lines.put(p.version(), "%,9d ms %8d pod %s%s leadership=%s participation=%s epoch=%s%s".formatted(
                (p.at() - origin) / 1_000_000, p.version(), p.name(), p.gone() ? " GONE" : "", p.leadership(), p.participation(), p.epoch(),
                foreign.contains(p.version()) ? " (by the test)" : "")));
        leases.forEach(l -> lines.put(l.version(), "%,9d ms %8d lease%s holder=%s duration=%s claim=%s".formatted(
                (l.at() - origin) / 1_000_000, l.version(), l.gone() ? " GONE" : "", l.holder(), l.durationSeconds(), l.claim())));
        return String.join("\n", lines.values());
    }

    // --- Judgement ---------------------------------------------------------------------------------------------------

    /** Waits until everything that the API server has by now was seen. */
    void catchUp() {
        try {
            Map<String, Long> present = core.listNamespacedPod(namespace).execute().getItems().stream().map(V1Pod::getMetadata)
                    .filter(meta -> group.test(meta.getName()))
                    .collect(Collectors.toMap(V1ObjectMeta::getName, meta -> Long.parseLong(meta.getResourceVersion())));
            Wait.until("the witness has seen all pods as they are: " + present, CATCH_UP_LIMIT,
                    () -> gap().isPresent() || hasSeen(present));
        } catch (ApiException e) {
            throw new AssertionError("HTTP " + e.getCode() + " " + e.getResponseBody(), e);
        }
    }

    private boolean hasSeen(Map<String, Long> present) {
        Map<String, PodRevision> seen = pods();
        return present.keySet().containsAll(seen.keySet()) && present.entrySet().stream().allMatch(
                pod -> seen.containsKey(pod.getKey()) && pod.getValue() <= seen.get(pod.getKey()).version());
    }

    /** What was missed; empty if nothing. */
    Optional<String> gap() {
        return podWatch.gap().or(leaseWatch::gap);
    }

    /** Which pods sidecars have labelled, revision by revision. */
    private final class Labelled {
        private final Map<String, PodRevision> present = new TreeMap<>();
        private final Set<String> forged = new HashSet<>();

        /** Takes in the next revision; returns the one of that pod before it, null if there is none. */
        PodRevision next(PodRevision pod) {
            PodRevision before = present.put(pod.name(), pod);
            if (!pod.isLabelled()) {
                forged.remove(pod.name());
            } else if (foreign.contains(pod.version()) && (before == null || !before.isLabelled())) {
                forged.add(pod.name());
            }
            return before;
        }

        List<String> now() {
            return present.values().stream().filter(PodRevision::isLabelled).map(PodRevision::name).filter(name -> !forged.contains(name))
                    .toList();
        }
    }

    /** How many pod revisions after a version left more than one pod labelled; a label that the test forged does not count. */
    synchronized int revisionsWithTwoLeaders(long version) {
        Labelled labelled = new Labelled();
        int count = 0;
        for (PodRevision pod : pods) {
            labelled.next(pod);
            count += pod.version() > version && labelled.now().size() > 1 ? 1 : 0;
        }
        return count;
    }

    /** Fails if anything was missed, or if any revision breaks a rule. */
    synchronized void check() {
        gap().ifPresent(gap -> fail("this witness cannot testify: " + gap));
        Labelled labelled = new Labelled();
        long last = 0;
        for (PodRevision pod : pods) {
            if (pod.version() <= last) {
                fail("revision " + pod.version() + " came after " + last);
            }
            last = pod.version();
            PodRevision before = labelled.next(pod);
            if (labelled.now().size() > 1) {
                fail("at version " + pod.version() + " the label is true on " + labelled.now());
            }
            if (isWrite(pod) && (before == null || before.gone() || !before.rest().equals(pod.rest()))) {
                fail("at version " + pod.version() + " a sidecar changed more of pod " + pod.name() + " than our keys: from "
                        + (before == null ? "nothing" : before.rest()) + " to " + pod.rest());
            }
        }
    }

    @Override
    public void close() {
        podWatch.close();
        leaseWatch.close();
    }
}
