package api

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/apikey"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Keys keeps the API keys. All methods are safe for concurrent use, and what was changed is durable
// when they return.
type Keys interface {
	// CreateAPIKey adds a key, which is good at once. *queue.InvalidError; queue.ErrAPIKeyExists,
	// queue.ErrTwoAPIKeys, queue.ErrAPIKeyName, queue.ErrTooManyAPIKeys.
	CreateAPIKey(ctx context.Context, add queue.NewAPIKey) (queue.APIKey, error)
	// RevokeAPIKey removes a key, which is good no more. queue.ErrNoAPIKey.
	RevokeAPIKey(ctx context.Context, id string) error
	// APIKeys returns a page of the keys, also of those that have expired.
	APIKeys(ctx context.Context, listing queue.APIKeyListing) (queue.APIKeyPage, error)
}

// noKeys is where no keys are kept.
type noKeys struct{}

func (noKeys) CreateAPIKey(context.Context, queue.NewAPIKey) (queue.APIKey, error) {
	return queue.APIKey{}, queue.ErrUnavailable
}

func (noKeys) RevokeAPIKey(context.Context, string) error { return queue.ErrUnavailable }

func (noKeys) APIKeys(context.Context, queue.APIKeyListing) (queue.APIKeyPage, error) {
	return queue.APIKeyPage{}, queue.ErrUnavailable
}

// keysOf are the options' keys, or those of the queue.
func keysOf(q Queue, options *Options) Keys {
	if options.Keys != nil {
		return options.Keys
	}
	if keys, keeps := q.(Keys); keeps {
		return keys
	}
	return noKeys{}
}

// CreateKey answers POST /v1/admin/keys.
func (a *API) CreateKey(ctx context.Context, request oapi.CreateKeyRequestObject) (oapi.CreateKeyResponseObject, error) {
	given := request.Body
	wanted := queue.NewAPIKey{Name: given.Name, Scopes: given.Scopes, Lifetime: bound(given.ExpiresInSeconds)}
	if given.Channels != nil {
		wanted.Channels = *given.Channels
	}
	// The domain takes 0 for none: it becomes what it refuses.
	if given.RateLimit != nil {
		wanted.Limits.Rate = cmp.Or(*given.RateLimit, -1)
	}
	if given.MaxWaiting != nil {
		wanted.Limits.Waiting = cmp.Or(*given.MaxWaiting, -1)
	}
	// The secret is not kept, so that a repeated call cannot be answered the same; but its key has the
	// same id, which is refused.
	secret, once := apikey.Generate(), termsOf(ctx).once()
	if once.Given() {
		secret = apikey.GenerateOnce(once.Key)
	}
	add, err := apikey.Prepare(secret, wanted)
	if err != nil {
		return nil, err
	}
	if err := mayGrant(ctx, &add); err != nil {
		return nil, err
	}
	if given.Channels != nil && len(wanted.Channels) == 0 {
		return nil, invalid("channels", "must name at least one, or be left out for a key for every channel")
	}
	key, err := a.keys.CreateAPIKey(ctx, add)
	if err != nil {
		return nil, explainKey(&add, err)
	}
	deedOf(ctx).apiKey(key.ID, key.Name, key.Scopes, key.Channels)
	view := keyView(&key, false)
	return oapi.CreateKey201JSONResponse{
		Id: view.Id, Name: view.Name, Scopes: view.Scopes, Channels: view.Channels, CreatedAt: view.CreatedAt, ExpiresAt: view.ExpiresAt,
		RateLimit: view.RateLimit, MaxWaiting: view.MaxWaiting, Key: secret.Text(),
	}, nil
}

// mayGrant refuses a key that may do what the credential may not that is to make it. Limits are for
// those to set who are for all channels: the others hand on their own.
func mayGrant(ctx context.Context, add *queue.NewAPIKey) error {
	p := auth.PrincipalOf(ctx)
	if p == nil {
		return nil // nobody is asked who they are
	}
	granted, err := apikey.PrincipalOf(&queue.APIKey{Scopes: add.Scopes, Channels: add.Channels})
	if err != nil {
		return err
	}
	if missing := granted.Scopes &^ p.Scopes; missing != 0 {
		return &requestError{
			code:   codeScopeMissing,
			detail: "a key is for no more than the credential that makes it, which lacks the scope " + strings.Join(missing.Names(), " and the scope "),
			field:  "scopes",
		}
	}
	if !covers(p.Channels, add.Channels) {
		return &requestError{
			code: codeChannelForbidden, field: "channels",
			detail: "a key is for no more than the credential that makes it, which is not for every channel that the key is to be for",
		}
	}
	if p.Channels.All() {
		return nil
	}
	if add.Limits != (queue.APIKeyLimits{}) {
		return &requestError{
			code: codeChannelForbidden, field: fieldOfLimit(add.Limits),
			detail: "only a credential that is for all channels sets the limits of a key; leave them out, and the key has those of the credential that makes it",
		}
	}
	add.Limits = queue.APIKeyLimits{Rate: p.Limits.RequestsPerSecond, Waiting: p.Limits.Waiting}
	return nil
}

// fieldOfLimit is the first field of those that set limits.
func fieldOfLimit(limits queue.APIKeyLimits) string {
	if limits.Rate != 0 {
		return "rate_limit"
	}
	return "max_waiting"
}

// covers reports whether channels of a key, of which none are all, are among those of a credential.
func covers(channels auth.Channels, names []string) bool {
	if channels.All() {
		return true
	}
	for _, name := range names {
		if !channels.Has(name) {
			return false
		}
	}
	return len(names) > 0
}

// explainKey says what to do about a key that could not be added.
func explainKey(add *queue.NewAPIKey, err error) error {
	switch {
	case errors.Is(err, queue.ErrAPIKeyExists):
		return &requestError{
			code: codeKeyExists,
			detail: "a call with this Idempotency-Key has made the key " + add.ID +
				" already, and its secret was in the answer to that call only; revoke it, and make another one under another Idempotency-Key",
		}
	case errors.Is(err, queue.ErrTwoAPIKeys):
		return &requestError{
			code: codeKeyNameTaken, field: "name",
			detail: "two keys of this name are good already; revoke one of them first, or choose another name",
		}
	case errors.Is(err, queue.ErrAPIKeyName):
		return &requestError{
			code: codeKeyNameTaken, field: "name",
			detail: "the key of this name that there is has other channels; choose another name",
		}
	default:
		return err
	}
}

// ListKeys answers GET /v1/admin/keys.
func (a *API) ListKeys(ctx context.Context, request oapi.ListKeysRequestObject) (oapi.ListKeysResponseObject, error) {
	limit, after := limitOf(request.Params.Limit), ""
	if request.Params.Cursor != nil {
		words, err := nameCursorOf(*request.Params.Cursor, listOfKeys, 1)
		if err != nil {
			return nil, err
		}
		after = words[0]
	}
	list := oapi.ListKeys200JSONResponse{Keys: []oapi.APIKey{}}
	err := a.visibleKeys(ctx, after, func(k *queue.APIKey, expired bool) bool {
		if len(list.Keys) == limit {
			next := nameCursor(listOfKeys, list.Keys[limit-1].Id)
			list.NextCursor = &next
			return false
		}
		list.Keys = append(list.Keys, keyView(k, expired))
		return true
	})
	return list, err
}

// visibleKeys calls use with the keys after an id that the caller may see, until it returns false: those
// that are for no other channels than the caller's. There are few keys, so they are all read for those
// who may see few of them.
func (a *API) visibleKeys(ctx context.Context, after string, use func(k *queue.APIKey, expired bool) bool) error {
	p := auth.PrincipalOf(ctx)
	for {
		page, err := a.keys.APIKeys(ctx, queue.APIKeyListing{After: after, Limit: queue.MaxPage})
		if err != nil {
			return err
		}
		for i := range page.Keys {
			k := &page.Keys[i]
			after = k.ID
			if p != nil && !covers(p.Channels, k.Channels) {
				continue
			}
			if !use(k, !k.Good(page.Now)) {
				return nil
			}
		}
		if !page.More {
			return nil
		}
	}
}

// RevokeKey answers DELETE /v1/admin/keys/{key}.
func (a *API) RevokeKey(ctx context.Context, request oapi.RevokeKeyRequestObject) (oapi.RevokeKeyResponseObject, error) {
	// Looking first is safe, because a key never changes.
	var revoked *queue.APIKey
	err := a.visibleKeys(ctx, "", func(k *queue.APIKey, _ bool) bool {
		if k.ID == request.Key {
			revoked = k
		}
		return revoked == nil
	})
	switch {
	case err != nil:
		return nil, err
	case revoked == nil:
		return nil, queue.ErrNoAPIKey
	}
	if err := a.keys.RevokeAPIKey(ctx, revoked.ID); err != nil {
		return nil, err
	}
	deedOf(ctx).apiKey(revoked.ID, revoked.Name, revoked.Scopes, revoked.Channels)
	return oapi.RevokeKey204Response{}, nil
}

func keyView(k *queue.APIKey, expired bool) oapi.APIKey {
	view := oapi.APIKey{
		Id: k.ID, Name: k.Name, Scopes: k.Scopes, CreatedAt: k.Created.UTC(), ExpiresAt: timeView(k.Expires), Expired: expired,
		LastUsedAt: timeView(k.LastUsed),
	}
	if len(k.Channels) > 0 {
		view.Channels = &k.Channels
	}
	if k.Limits.Rate != 0 {
		view.RateLimit = &k.Limits.Rate
	}
	if k.Limits.Waiting != 0 {
		view.MaxWaiting = &k.Limits.Waiting
	}
	return view
}
