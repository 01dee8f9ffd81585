import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The API server of a {@link Simulation}: a {@link Store}, what the electors ask of it, and what others do to its objects. */
final class SimulatedServer {

    /** Keys, as {@link Config} derives them from the election's name: the claim on the Lease, epoch and participation of a pod. */
    static final String CLAIM = Mix.ELECTION + "/holder";
    static final String EPOCH = Mix.ELECTION + "/epoch";
    static final String PARTICIPATION = Mix.ELECTION + "/participant";
    private static final Store.Selection LEASE = Store.Selection.all(Resource.LEASES, Mix.NAMESPACE).named(Mix.ELECTION);

    private final Simulation world;
    private final Store store;
    private final StoreCodec codec;
    private final StoreClient client;
    private final Map<String, Pod> pods = new TreeMap<>();
    private final Map<String, Long> refusedUntil = new TreeMap<>();
    private final List<SimulatedWatch> watches = new ArrayList<>();
    private Lease lease;
    private Sender sender = Sender.FOREIGN;

    /** Who has a request executed at the moment; neither is set if it is somebody who has nothing to do with the election. */
    record Sender(SimulatedProcess process, Effect.Request request, ClientGoProgram program) {
        static final Sender FOREIGN = new Sender(null, null, null);

        /** A sidecar or a client-go program. */
        boolean isParticipant() {
            return process != null || program != null;
        }

        /** Whether a held Lease is that of the sender, who is a participant: of its pod or by its identity. */
        boolean holds(Lease lease) {
            return process == null ? lease.holder().equals(program.identity())
                    : lease.claim() != null && lease.claim().uid().equals(process.pod().uid());
        }

        String who() {
            return process != null ? process.toString() : program != null ? "client-go" : "somebody";
        }
    }

    SimulatedServer(Simulation world, long seed) {
        this.world = world;
        Config config = world.mix.config("any");
        codec = new StoreCodec(config);
        store = new Store(() -> Simulation.EPOCH.plusNanos(world.now()), Store.seededUids(seed), 1);
        client = new StoreClient(store, config, tree -> pods.get(Json.text(tree, "metadata", "name")));
        store.onRevision(this::revised);
    }

    /** The Lease as it is stored; null if it does not exist. */
    Lease lease() {
        return lease;
    }

    /** The stored Lease's tree; null if it does not exist. */
    Map<String, Object> leaseTree() {
        return store.get(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION) instanceof Store.Ok ok ? ok.object() : null;
    }

    /** The pod of that name as it is stored; null if there is none. */
    Pod pod(String name) {
        return pods.get(name);
    }

    /** All pods of the namespace, by name. */
    Map<String, Pod> pods() {
        return pods;
    }

    // --- What electors ask -------------------------------------------------------------------------------------------

    /** Executes the request now. */
    Reply execute(SimulatedProcess from, Effect.Request request) {
        world.coverage.step();
        sender = new Sender(from, request, null);
        Reply reply = request instanceof Effect.PatchPod patch && refusedUntil.getOrDefault(patch.name(), 0L) > world.now()
                ? new Reply.Failed("403 patches to " + patch.name() + " are refused", 0) : client.execute(request);
        sender = Sender.FOREIGN;
        world.invariants.answered(from, request, reply);
        return reply;
    }

    // --- Watches -----------------------------------------------------------------------------------------------------

    /** What a watch of the Lease begins with. */
    Event leaseNow() {
        world.coverage.step();
        return lease == null ? new Event.LeaseDeleted(Long.toString(store.resourceVersion())) : new Event.LeaseUpdated(lease);
    }

    /** What a watch of the group begins with. */
    Event groupNow() {
        world.coverage.step();
        Reply.PodListReply all = client.list();
        return new Event.PodsListed(all.pods(), all.version());
    }

    void add(SimulatedWatch watch) {
        watches.add(watch);
    }

    void remove(SimulatedWatch watch) {
        watches.remove(watch);
    }

    private void revised(Store.Revision revision) {
        boolean ofLease = revision.resource() == Resource.LEASES;
        if (!ofLease && revision.resource() != Resource.PODS) {
            return;
        }
        Pod podBefore = pods.get(revision.name());
        Lease leaseBefore = lease;
        if (ofLease) {
            lease = revision.after() == null ? null : codec.lease(revision.after());
            world.invariants.leaseRevised(sender, leaseBefore, lease);
        } else {
            Pod after = revision.after() == null ? null : codec.pod(revision.after());
            pods.compute(revision.name(), (name, before) -> after);
            world.invariants.podRevised(sender, revision, podBefore, after);
        }
        Event event = revision.seenBy(ofLease ? LEASE : client.group()).map(seen -> event(seen, revision, ofLease)).orElse(null);
        if (event != null) {
            for (SimulatedWatch watch : List.copyOf(watches)) {
                watch.push(event, ofLease);
            }
        }
    }

    private Event event(Store.WatchEvent seen, Store.Revision revision, boolean ofLease) {
        boolean left = seen.type() == Store.EventType.DELETED;
        String version = Long.toString(revision.resourceVersion());
        if (ofLease) {
            return left ? new Event.LeaseDeleted(version) : new Event.LeaseUpdated(lease);
        }
        return left ? new Event.PodRemoved(revision.name(), version) : new Event.PodUpdated(pods.get(revision.name()));
    }

    // --- What others do ----------------------------------------------------------------------------------------------

    /** Creates a pod on a node, as controller, scheduler and kubelet do together; returns its uid. */
    String createPod(String name, Map<String, String> labels, Map<String, String> annotations, long graceSeconds) {
        Store.Result result = store.create(Resource.PODS, Mix.NAMESPACE, Map.of(
                "metadata", Map.of("name", name, "labels", labels, "annotations", annotations),
                "spec", Map.of("nodeName", "node", "terminationGracePeriodSeconds", graceSeconds)));
        setStatus(name, "Running", false);
        return Json.text(((Store.Created) result).object(), "metadata", "uid");
    }

    void setStatus(String name, String phase, boolean ready) {
        Map<String, Object> condition = Map.of("type", "Ready", "status", ready ? "True" : "False");
        store.patchStatus(Resource.PODS, Mix.NAMESPACE, name, Map.of("status", Map.of("phase", phase, "conditions", List.of(condition))));
    }

    /** Graceful deletion, or removal if {@code graceSeconds} is 0. */
    void deletePod(String name, long graceSeconds) {
        store.delete(Resource.PODS, Mix.NAMESPACE, name, new Store.Deletion(graceSeconds, null, null));
    }

    /** Somebody's merge patch of a pod; a null value removes the key. */
    void editPod(String name, Map<String, Object> labels, Map<String, Object> annotations) {
        store.patch(Resource.PODS, Mix.NAMESPACE, name, Map.of("metadata", Map.of("labels", labels, "annotations", annotations)));
    }

    void refusePatches(String pod, long until) {
        refusedUntil.put(pod, until);
    }

    void acceptPatches() {
        refusedUntil.clear();
    }

    /** Somebody's merge patch of the Lease; a null value removes the key. */
    void editLease(Map<String, Object> spec, Map<String, Object> annotations) {
        store.patch(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION, Map.of("metadata", Map.of("annotations", annotations), "spec", spec));
    }

    void deleteLease() {
        store.delete(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION, Store.Deletion.DEFAULT);
    }

    /** A client-go program creates the Lease, or replaces it on the version that {@code read} has; says whether it succeeded. */
    boolean write(ClientGoProgram program, Map<String, Object> read, Map<String, Object> spec) {
        sender = new Sender(null, null, program);
        Map<String, Object> meta = read == null ? Map.of("name", Mix.ELECTION) : new LinkedHashMap<>(Json.object(read, "metadata"));
        Map<String, Object> body = Map.of("metadata", meta, "spec", spec);
        Store.Result result = read == null ? store.create(Resource.LEASES, Mix.NAMESPACE, body)
                : store.replace(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION, body);
        sender = Sender.FOREIGN;
        return !(result instanceof Store.Failed);
    }

    /** The time as the Lease records it. */
    static String micros(Instant time) {
        return StoreCodec.micros(time);
    }
}
