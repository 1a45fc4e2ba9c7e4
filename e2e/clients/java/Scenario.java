import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.AnonymousCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.SdkResponse;
import software.amazon.awssdk.core.waiters.WaiterOverrideConfiguration;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.iam.IamClient;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.sts.StsClient;

/**
 * Walks the scenario with AWS's SDK for Java, version 2, and prints what it saw: Scenario FILE, where FILE names
 * server, credentials and steps. Operations are found by name, because the scenario names them.
 */
public final class Scenario {
    private final JsonObject world;
    private final Map<String, Object> clients = new LinkedHashMap<>();

    private Scenario(JsonObject world) {
        this.world = world;
    }

    public static void main(String[] args) throws Exception {
        var world = new Gson().fromJson(Files.readString(Path.of(args[0])), JsonObject.class);
        var scenario = new Scenario(world);
        List<Map<String, Object>> seen = new ArrayList<>();
        for (JsonElement step : world.getAsJsonArray("steps")) {
            seen.add(scenario.see(step.getAsJsonObject()));
        }
        System.out.write(new Gson().toJson(seen).getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }

    private Map<String, Object> see(JsonObject step) {
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("step", step.get("step").getAsString());
        try {
            walk(step, seen);
        } catch (InvocationTargetException e) {
            failed(seen, e.getCause());
        } catch (Exception e) {
            failed(seen, e);
        }
        return seen;
    }

    private static void failed(Map<String, Object> seen, Throwable cause) {
        if (cause instanceof AwsServiceException refused) {
            var details = refused.awsErrorDetails();
            seen.put("status", refused.statusCode());
            seen.put("error", Map.of("code", details.errorCode(), "message", details.errorMessage()));
            return;
        }
        var trace = new StringWriter();
        cause.printStackTrace(new PrintWriter(trace));
        seen.put("failed", trace.toString());
    }

    private void walk(JsonObject step, Map<String, Object> seen) throws Exception {
        String kind = step.has("call") ? "call" : step.has("wait") ? "wait" : "pages";
        String[] target = step.get(kind).getAsString().split("\\.");
        Object client = client(target[0], step.has("as") ? step.get("as").getAsString() : "root");
        JsonObject input = step.getAsJsonObject("input");
        switch (kind) {
            case "call" -> {
                var response = (SdkResponse) call(client, target[0], target[1], target[1], input);
                seen.put("status", response.sdkHttpResponse().statusCode());
                seen.put("output", Plain.show(response));
            }
            case "wait" -> {
                Object waiter = open(client, "waiter").invoke(client);
                call(waiter, target[0], "waitUntil" + target[1], "GetFunction", input);
                seen.put("done", true);
            }
            default -> {
                input.addProperty("MaxItems", step.get("size").getAsInt());
                var pages = (Iterable<?>) call(client, target[0], target[1] + "Paginator", target[1], input);
                List<Object> list = new ArrayList<>();
                for (Object page : pages) {
                    list.add(Plain.show((SdkPojo) page));
                }
                seen.put("pages", list);
            }
        }
    }

    /** Calls a method of the client with the request of an operation. */
    private static Object call(Object on, String service, String name, String operation, JsonObject input)
            throws Exception {
        var type = Class.forName("software.amazon.awssdk.services." + service + ".model." + operation + "Request");
        Object request = Plain.build((SdkPojo) type.getMethod("builder").invoke(null), input);
        String method = Character.toLowerCase(name.charAt(0)) + name.substring(1);
        if (name.startsWith("waitUntil")) {
            var patience = WaiterOverrideConfiguration.builder().waitTimeout(Duration.ofMinutes(1)).maxAttempts(60).build();
            return open(on, method, type, WaiterOverrideConfiguration.class).invoke(on, request, patience);
        }
        return open(on, method, type).invoke(on, request);
    }

    /** Finds a method that a public interface declares: the classes that implement it are not public. */
    private static Method open(Object on, String name, Class<?>... types) throws NoSuchMethodException {
        for (Class<?> face : on.getClass().getInterfaces()) {
            try {
                return face.getMethod(name, types);
            } catch (NoSuchMethodException e) {
                // The next interface may have it.
            }
        }
        throw new NoSuchMethodException(name);
    }

    private Object client(String service, String who) {
        return clients.computeIfAbsent(service + " " + who, key -> switch (service) {
            case "lambda" -> configure(LambdaClient.builder(), who).build();
            case "iam" -> configure(IamClient.builder(), who).build();
            case "sts" -> configure(StsClient.builder(), who).build();
            default -> throw new IllegalArgumentException(service);
        });
    }

    private <B extends AwsClientBuilder<B, C>, C> B configure(B builder, String who) {
        return builder
                .endpointOverride(URI.create(world.get("endpoint").getAsString()))
                .region(Region.of(world.get("region").getAsString()))
                .credentialsProvider(credentials(who))
                .overrideConfiguration(o -> o.retryStrategy(DefaultRetryStrategy.doNotRetry()));
    }

    private AwsCredentialsProvider credentials(String who) {
        if (who.equals("nobody")) {
            return AnonymousCredentialsProvider.create();
        }
        var pair = world.getAsJsonObject("credentials").getAsJsonArray(who);
        return StaticCredentialsProvider.create(AwsBasicCredentials.create(pair.get(0).getAsString(), pair.get(1).getAsString()));
    }
}
