import java.util.Map;
import java.util.function.Function;

/** Answers an {@link Elector}'s requests out of a {@link Store}, as LeaderLabeler's Kubernetes section does by HTTP. */
final class StoreClient {

    private final Store store;
    private final StoreCodec codec;
    private final String namespace;
    private final String leaseName;
    private final Store.Selection group;
    private final Function<Map<String, Object>, Pod> decodePod;
    private final Webhook webhook;

    /** A mutating admission webhook: returns what is stored in place of the body of a PUT or PATCH. */
    interface Webhook {
        Map<String, Object> admit(Effect.Request request, Map<String, Object> body);
    }

    /**
     * A client of the elector that {@code config} describes.
     *
     * @param decodePod makes a pod of a stored tree, so that a caller who has decoded it already may say so
     */
    StoreClient(Store store, Config config, Function<Map<String, Object>, Pod> decodePod) {
        this(store, config, decodePod, (request, body) -> body);
    }

    /** The same behind a webhook. */
    StoreClient(Store store, Config config, Function<Map<String, Object>, Pod> decodePod, Webhook webhook) {
        this.webhook = webhook;
        this.store = store;
        this.codec = new StoreCodec(config);
        this.namespace = config.namespace();
        this.leaseName = config.leaseName();
        this.group = Store.Selection.all(Resource.PODS, namespace).labelled(labels -> labels.containsKey(config.leadershipLabel()));
        this.decodePod = decodePod;
    }

    /** The pods that an elector lists and watches. */
    Store.Selection group() {
        return group;
    }

    /** Executes the request now. */
    Reply execute(Effect.Request request) {
        return switch (request) {
            case Effect.GetLease get -> leaseReply(store.get(Resource.LEASES, namespace, leaseName));
            case Effect.CreateLease create -> created(leaseReply(store.create(Resource.LEASES, namespace, codec.unheldBody())));
            case Effect.PutLease put -> leaseReply(store.replace(Resource.LEASES, namespace, leaseName,
                    webhook.admit(put, codec.putBody(put.lease()))));
            case Effect.ListPods list -> list();
            case Effect.GetPod get -> podReply(store.get(Resource.PODS, namespace, get.name()));
            case Effect.PatchPod patch -> podReply(store.patch(Resource.PODS, namespace, patch.name(),
                    webhook.admit(patch, codec.patchBody(patch))));
        };
    }

    /** All pods that have the leadership key, now. */
    Reply.PodListReply list() {
        Store.Listing listing = store.list(group);
        return new Reply.PodListReply(listing.items().stream().map(decodePod).toList(), Long.toString(listing.resourceVersion()));
    }

    private Reply leaseReply(Store.Result result) {
        return switch (result) {
            case Store.Ok ok -> new Reply.LeaseReply(codec.lease(ok.object()), false);
            case Store.Created created -> new Reply.LeaseReply(codec.lease(created.object()), true);
            case Store.Failed failed -> refusal(failed);
        };
    }

    /** A POST is never answered by 404 where the namespace exists. */
    private static Reply created(Reply reply) {
        return reply instanceof Reply.NotFound ? new Reply.Failed("404", 0) : reply;
    }

    private Reply podReply(Store.Result result) {
        return switch (result) {
            case Store.Ok ok -> new Reply.PodReply(codec.pod(ok.object()));
            case Store.Created created -> throw new IllegalStateException("nobody creates a pod by GET or PATCH");
            case Store.Failed failed -> refusal(failed);
        };
    }

    private static Reply refusal(Store.Failed failed) {
        return switch (failed.status()) {
            case 404 -> new Reply.NotFound();
            case 409 -> new Reply.Conflict();
            default -> new Reply.Failed(failed.status() + " " + failed.message(), 0);
        };
    }
}
