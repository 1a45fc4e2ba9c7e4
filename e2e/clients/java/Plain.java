import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.protocol.MarshallingType;
import software.amazon.awssdk.core.traits.ListTrait;
import software.amazon.awssdk.core.traits.MapTrait;
import software.amazon.awssdk.utils.builder.SdkBuilder;

/** Turns JSON into the SDK's requests, and its answers into JSON, by what the SDK says of its own fields. */
final class Plain {
    private Plain() {}

    /** Fills a builder. What the SDK does not know is an error. */
    static Object build(SdkPojo builder, JsonObject input) {
        Map<String, SdkField<?>> fields = new LinkedHashMap<>();
        builder.sdkFields().forEach(field -> fields.put(field.memberName(), field));
        for (var entry : input.entrySet()) {
            SdkField<?> field = fields.get(entry.getKey());
            if (field == null) {
                throw new IllegalArgumentException("the SDK has no field " + entry.getKey());
            }
            field.set(builder, value(field, entry.getValue()));
        }
        return ((SdkBuilder<?, ?>) builder).build();
    }

    private static Object value(SdkField<?> field, JsonElement json) {
        MarshallingType<?> type = field.marshallingType();
        if (type == MarshallingType.STRING) {
            return json.getAsString();
        } else if (type == MarshallingType.INTEGER) {
            return json.getAsInt();
        } else if (type == MarshallingType.BOOLEAN) {
            return json.getAsBoolean();
        } else if (type == MarshallingType.SDK_BYTES) {
            return blob(json.getAsJsonObject());
        } else if (type == MarshallingType.SDK_POJO) {
            return build(field.constructor().get(), json.getAsJsonObject());
        } else if (type == MarshallingType.LIST) {
            SdkField<?> member = field.getTrait(ListTrait.class).memberFieldInfo();
            List<Object> list = new ArrayList<>();
            json.getAsJsonArray().forEach(item -> list.add(value(member, item)));
            return list;
        } else if (type == MarshallingType.MAP) {
            SdkField<?> member = field.getTrait(MapTrait.class).valueFieldInfo();
            Map<String, Object> map = new LinkedHashMap<>();
            json.getAsJsonObject().entrySet().forEach(e -> map.put(e.getKey(), value(member, e.getValue())));
            return map;
        }
        throw new IllegalArgumentException("a field of the type " + type);
    }

    /** Reads {"$blob": base64}, or {"$letters": n}, which is a JSON text of n letters. */
    private static SdkBytes blob(JsonObject json) {
        if (json.has("$letters")) {
            return SdkBytes.fromUtf8String('"' + "x".repeat(json.get("$letters").getAsInt()) + '"');
        }
        return SdkBytes.fromByteArray(Base64.getDecoder().decode(json.get("$blob").getAsString()));
    }

    /** Shows an answer. Policies are decoded as a user has to. */
    static Object show(SdkPojo answer) {
        Map<String, Object> shown = new LinkedHashMap<>();
        for (SdkField<?> field : answer.sdkFields()) {
            Object value = field.getValueOrDefault(answer);
            if (value instanceof String text && field.memberName().endsWith("Document")) {
                // URLDecoder takes a plus for a space, which it is in forms and not in policies.
                String policy = URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
                value = new Gson().fromJson(policy, JsonObject.class);
            }
            if (value != null) {
                shown.put(field.memberName(), show(value));
            }
        }
        return shown;
    }

    private static Object show(Object value) {
        if (value instanceof SdkPojo pojo) {
            return show(pojo);
        } else if (value instanceof SdkBytes bytes) {
            return bytes.asUtf8String();
        } else if (value instanceof Instant at) {
            return at.toString();
        } else if (value instanceof List<?> list) {
            return list.stream().map(Plain::show).toList();
        } else if (value instanceof Map<?, ?> map) {
            Map<Object, Object> shown = new LinkedHashMap<>();
            map.forEach((name, v) -> shown.put(name, show(v)));
            return shown;
        }
        return value;
    }
}
