package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/apikey"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/postgres"
)

// keysKind is the kind of credentials that API keys are, as Options.Auth calls it.
const keysKind = "keys"

// keysInterval is how often a server reads the API keys of a database again, in which other servers
// make and revoke some.
const keysInterval = 2 * time.Second

// newKeys makes the authenticator of API keys, which Start starts.
func newKeys(a *App) (auth.Authenticator, error) {
	options := apikey.Options{File: a.options.AuthKeysFile, Logger: logging.Adapt(a.log)}
	if IsDatabase(a.options.Store) {
		options.Interval = keysInterval
	}
	a.keys = apikey.New(a.store, options)
	return a.keys, nil
}

// KeyRequest says what an API key is to be. Its fields are the options of an *OptionError.
type KeyRequest struct {
	Name      string
	Scope     []string
	Channel   []string      // none is all
	ExpiresIn time.Duration // 0 is for ever
	// RateLimit is how many requests a second may be made with the key, and MaxWaiting how many calls
	// with it may wait; 0 is what each server allows.
	RateLimit  float64
	MaxWaiting int
}

// prepare makes a key that is kept nowhere yet. *OptionError.
func (r *KeyRequest) prepare() (apikey.Secret, queue.NewAPIKey, error) {
	secret := apikey.Generate()
	add, err := apikey.Prepare(secret, queue.NewAPIKey{
		Name: r.Name, Scopes: r.Scope, Channels: r.Channel, Lifetime: r.ExpiresIn,
		Limits: queue.APIKeyLimits{Rate: r.RateLimit, Waiting: r.MaxWaiting},
	})
	if invalid := (*queue.InvalidError)(nil); errors.As(err, &invalid) {
		field := strings.NewReplacer("scopes", "Scope", "channels", "Channel", "name", "Name", "expires_in_seconds", "ExpiresIn",
			"rate_limit", "RateLimit", "max_waiting", "MaxWaiting").Replace(invalid.Field)
		err = &OptionError{field, invalid.Reason}
	}
	return secret, add, err
}

// CreateKey makes an API key in a store, which is made if it is not there, and which no server may
// have open if it is in a directory. It writes what the key is for, and the key alone in the last
// line; nobody can be shown it again. *OptionError.
func CreateKey(ctx context.Context, store string, request KeyRequest, out io.Writer) (err error) {
	secret, add, err := request.prepare()
	if err != nil {
		return err
	}
	keys, err := openKeys(ctx, store)
	if err != nil {
		return keysRefusal(store, err, "POST /v1/admin/keys makes keys there")
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	key, err := keys.CreateAPIKey(ctx, add)
	if err != nil {
		return explainKey(&add, err)
	}
	return write(out, describeKey(&key)+"It is shown this once, in the next line:\n"+secret.Text()+"\n")
}

// PrintKey makes an API key for a file of keys. It writes the line for the file, and the key alone in
// the last line. *OptionError.
func PrintKey(request KeyRequest, out io.Writer) error {
	secret, add, err := request.prepare()
	if err != nil {
		return err
	}
	key, _, err := add.Admit(nil, 0, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
	line, err := apikey.Line(&key)
	if err != nil {
		return fmt.Errorf("write the line of the key: %w", err)
	}
	return write(out, line+"\n"+secret.Text()+"\n")
}

// ListKeys writes a table of the API keys in a store, without anything that is secret.
func ListKeys(ctx context.Context, store string, out io.Writer) error {
	list, now, err := listKeys(ctx, store)
	if err != nil {
		return keysRefusal(store, err, "GET /v1/admin/keys lists its keys")
	}
	slices.SortFunc(list, func(a, b queue.APIKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tNAME\tSCOPES\tCHANNELS\tLIMITS\tCREATED\tEXPIRES\tLAST USED") // Flush tells
	for i := range list {
		k := &list[i]
		expires := timeOr(k.Expires, "never")
		if !k.Good(now) {
			expires += " (expired)"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, strings.Join(k.Scopes, ","), channelsOf(k), limitsOf(k),
			timeOr(k.Created, "-"), expires, timeOr(k.LastUsed, "never"))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the keys: %w", err)
	}
	return nil
}

func listKeys(ctx context.Context, store string) (list []queue.APIKey, now time.Time, err error) {
	if !IsDatabase(store) {
		list, err = embedded.APIKeysIn(store)
		return list, time.Now(), err
	}
	keys, err := openKeys(ctx, store)
	if err != nil {
		return nil, now, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	listing := queue.APIKeyListing{Limit: queue.MaxPage}
	for more := true; more; {
		page, err := keys.APIKeys(ctx, listing)
		if err != nil {
			return nil, now, err
		}
		list, now, more = append(list, page.Keys...), page.Now, page.More
		if more {
			listing.After = list[len(list)-1].ID
		}
	}
	return list, now, nil
}

// RevokeKey removes an API key from a store.
func RevokeKey(ctx context.Context, store, id string, out io.Writer) (err error) {
	const instead = "DELETE /v1/admin/keys/{id} revokes its keys"
	if !IsDatabase(store) {
		// A store that is not there is not made for this.
		if _, err := embedded.APIKeysIn(store); err != nil {
			return keysRefusal(store, err, instead)
		}
	}
	keys, err := openKeys(ctx, store)
	if err != nil {
		return keysRefusal(store, err, instead)
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	err = keys.RevokeAPIKey(ctx, id)
	if errors.Is(err, queue.ErrNoAPIKey) {
		return fmt.Errorf("there is no API key with the id %q; longshore-server key list tells what there are", id)
	}
	if err != nil {
		return err
	}
	return write(out, "revoked "+id+"\n")
}

// keyStore is a store of API keys that is opened for one command.
type keyStore interface {
	apikey.Store
	io.Closer
}

func openKeys(ctx context.Context, store string) (keyStore, error) {
	if IsDatabase(store) {
		return postgres.Open(ctx, store, postgres.Options{Connections: 2, NoListen: true})
	}
	return embedded.Open(store, embedded.Options{})
}

// keysRefusal says why a store cannot be opened, and what to do instead if a server has it open.
func keysRefusal(store string, err error, instead string) error {
	if errors.Is(err, embedded.ErrInUse) {
		return fmt.Errorf("%s is in use by a server: %s", store, instead)
	}
	return fmt.Errorf("%s: %w", NameOfStore(store), err)
}

// explainKey says what to do about a key that could not be added.
func explainKey(add *queue.NewAPIKey, err error) error {
	switch {
	case errors.Is(err, queue.ErrTwoAPIKeys):
		return fmt.Errorf("there are two good keys of the name %s already; revoke one of them first: longshore-server key list tells their ids", add.Name)
	case errors.Is(err, queue.ErrAPIKeyName):
		return fmt.Errorf("the key of the name %s that there is has other channels; name the same ones, or give this key another name", add.Name)
	case errors.Is(err, queue.ErrTooManyAPIKeys):
		return fmt.Errorf("there are %d keys, which is as many as there may be; revoke some first", queue.MaxAPIKeys)
	default:
		return err
	}
}

func describeKey(k *queue.APIKey) string {
	return fmt.Sprintf("API key %s of %s, for the scopes %s on the channels %s, limits: %s, expires: %s\n",
		k.ID, k.Name, strings.Join(k.Scopes, ","), channelsOf(k), limitsOf(k), timeOr(k.Expires, "never"))
}

// limitsOf are a key's own limits in short.
func limitsOf(k *queue.APIKey) string {
	var own []string
	if k.Limits.Rate != 0 {
		own = append(own, fmt.Sprintf("%g/s", k.Limits.Rate))
	}
	if k.Limits.Waiting != 0 {
		own = append(own, fmt.Sprintf("%d waiting", k.Limits.Waiting))
	}
	if len(own) == 0 {
		return "(server's)"
	}
	return strings.Join(own, ",")
}

func channelsOf(k *queue.APIKey) string {
	if len(k.Channels) == 0 {
		return "(all)"
	}
	return strings.Join(k.Channels, ",")
}

// timeOr is a time, or what stands for none.
func timeOr(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

func write(out io.Writer, text string) error {
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("write what came of it: %w", err)
	}
	return nil
}
