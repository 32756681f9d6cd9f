package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// failure is an error with the name that it has in Java, since that is what scripts find in the output.
type failure struct {
	class, text string
	cause       error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// named is the error as Java prints it.
func (f *failure) named() string {
	if f.text == "" {
		return f.class
	}
	return f.class + ": " + f.text
}

func javaError(class, format string, args ...any) error {
	return &failure{class: class, text: fmt.Sprintf(format, args...)}
}

func illegal(format string, args ...any) error {
	return javaError("java.lang.IllegalArgumentException", format, args...)
}

const apiErrors = "org.apache.kafka.common.errors."

func timedOut(format string, args ...any) error {
	return javaError(apiErrors+"TimeoutException", format, args...)
}

// Exceptions that are not called as their error codes are.
var exceptions = map[*kerr.Error]string{
	kerr.TopicAlreadyExists:                 "TopicExistsException",
	kerr.InvalidTopicException:              "InvalidTopicException",
	kerr.InvalidConfig:                      "InvalidConfigurationException",
	kerr.NonEmptyGroup:                      "GroupNotEmptyException",
	kerr.MessageTooLarge:                    "RecordTooLargeException",
	kerr.CorruptMessage:                     "CorruptRecordException",
	kerr.RequestTimedOut:                    "TimeoutException",
	kerr.KafkaStorageError:                  "KafkaStorageException",
	kerr.TopicAuthorizationFailed:           "TopicAuthorizationException",
	kerr.GroupAuthorizationFailed:           "GroupAuthorizationException",
	kerr.ClusterAuthorizationFailed:         "ClusterAuthorizationException",
	kerr.SaslAuthenticationFailed:           "SaslAuthenticationException",
	kerr.UnsupportedSaslMechanism:           "UnsupportedSaslMechanismException",
	kerr.UnknownServerError:                 "UnknownServerException",
	kerr.RecordListTooLarge:                 "RecordBatchTooLargeException",
	kerr.TransactionalIDAuthorizationFailed: "TransactionalIdAuthorizationException",
}

// ofCode is the error that a node answered with, in its own words or else the general ones.
func ofCode(code int16, message *string) error {
	err := kerr.TypedErrorForCode(code)
	if err == nil {
		return nil
	}
	text := err.Description
	if message != nil && *message != "" {
		text = *message
	}
	name, ok := exceptions[err]
	if !ok {
		name = camel(err.Message) + "Exception"
	}
	return &failure{class: apiErrors + name, text: text, cause: err}
}

// camel turns GROUP_ID_NOT_FOUND into GroupIdNotFound.
func camel(words string) string {
	var b strings.Builder
	for w := range strings.SplitSeq(words, "_") {
		if w != "" {
			b.WriteString(w[:1] + strings.ToLower(w[1:]))
		}
	}
	return b.String()
}

// asFailure gives an error of the client a name.
func asFailure(err error) *failure {
	var f *failure
	var code *kerr.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &code):
		errors.As(ofCode(code.Code, nil), &f)
		return f
	case errors.As(err, &dns):
		return &failure{class: "org.apache.kafka.common.config.ConfigException", text: "No resolvable bootstrap urls given in bootstrap.servers", cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{class: apiErrors + "TimeoutException", text: "The request timed out.", cause: err}
	}
	return &failure{class: "org.apache.kafka.common.KafkaException", text: err.Error(), cause: err}
}

func hasCode(err error, code *kerr.Error) bool { return errors.Is(err, code) }
